// Race: two methods, one seed, one text.
import { session, show, view, watchedRound } from '../state';
import type { Session } from '../session/session';
import { LengthField, MethodField, SamplingFields, SeedField } from '../ui/fields';
import { useThrottled } from '../ui/hooks';
import { Icon } from '../ui/icons';
import { RunButton } from '../ui/run_button';
import { number } from '../ui/stats';
import { TokenText } from '../ui/token_text';
import { Legend } from '../tree/legend';
import { prompt } from './form';
import {
  comparison,
  isRacing,
  isSimultaneous,
  lanes,
  racers,
  ratio,
  startRace,
  stopRace,
} from './race_run';

function RaceForm() {
  const choice = (value: boolean, label: string) => (
    <label class="segment">
      <input
        type="radio"
        name="order"
        checked={isSimultaneous.value === value}
        disabled={isRacing.value}
        onChange={() => (isSimultaneous.value = value)}
      />
      <span>{label}</span>
    </label>
  );
  return (
    <form
      class="card race-form"
      onSubmit={(e) => {
        e.preventDefault();
        void startRace();
      }}
    >
      <label class="field grow">
        <span>Prompt</span>
        <textarea
          rows={2}
          value={prompt.value}
          onInput={(e) => (prompt.value = e.currentTarget.value)}
        />
      </label>
      <div class="fields">
        <SeedField />
        <LengthField />
      </div>
      <details>
        <summary>Sampling</summary>
        <SamplingFields />
      </details>
      <div class="row wrap actions">
        <RunButton isRunning={isRacing.value} onStop={stopRace} icon="race">
          Start the race
        </RunButton>
        <fieldset class="segments" title="One after the other gives each the whole machine">
          <legend class="off-screen">Order</legend>
          {choice(false, 'One after the other')}
          {choice(true, 'At the same time')}
        </fieldset>
      </div>
    </form>
  );
}

function Lane({ index }: { index: 0 | 1 }) {
  const s = lanes[index].value;
  const name = index === 0 ? 'First lane' : 'Second lane';
  useThrottled(s?.version, 100);
  const done = s ? Math.min(1, s.tokens.length / Math.max(1, s.request.max_tokens)) : 0;
  return (
    <section class="card lane" aria-label={name}>
      <MethodField
        label={name}
        value={racers[index].value}
        onChange={(method) => (racers[index].value = method)}
      />
      <p class="speed">
        <b>{number(s?.tokensPerSecond, 1)}</b> tokens/s
        <span class="muted">
          {number(s?.tokensPerPass, 2)} per pass · {s?.tokens.length ?? 0} tokens
        </span>
      </p>
      <progress value={s && s.status === 'done' ? 1 : done} max={1} aria-label={`${name}: progress`} />
      {s ? (
        <TokenText
          session={s}
          label={`${name}: text`}
          isShown={() => view.value === 'race'}
          opensRounds={false}
        />
      ) : (
        <p class="muted placeholder">{isRacing.value ? 'Waits for its turn …' : ' '}</p>
      )}
      {s?.error && (
        <p class="error" role="alert">
          {s.error}
        </p>
      )}
      {s && s.rounds.length > 0 && s.status !== 'running' && (
        <div class="row end">
          <button
            onClick={() => {
              session.value = s;
              watchedRound.value = 0;
              show('watch');
            }}
          >
            <Icon name="watch" />
            Watch its rounds
          </button>
        </div>
      )}
    </section>
  );
}

function Difference({ a, b, at }: { a: string; b: string; at: number }) {
  const from = Math.max(0, at - 60);
  const side = (text: string) => (
    <p class="difference">
      {from > 0 && '…'}
      {text.slice(from, at)}
      <mark>{text.slice(at, at + 60) || '(end)'}</mark>
    </p>
  );
  return (
    <>
      {side(a)}
      {side(b)}
    </>
  );
}

// The finish: are they the same, and which was faster.
function Result() {
  const result = comparison.value;
  const [a, b] = [lanes[0].value, lanes[1].value];
  if (!result || !a || !b) return null;
  return (
    <section class={`card result ${result.isIdentical ? 'same' : 'different'}`} role="status">
      <h2>
        <Icon name={result.isIdentical ? 'check' : 'cross'} />
        {result.isIdentical ? 'Identical' : 'They differ'}
      </h2>
      {result.isIdentical ? (
        <p>
          {a.text.length} characters, {a.tokens.length} tokens: the same, character for character.
          {ratioText(a, b)}
        </p>
      ) : (
        <>
          <p>The first {result.at} characters are the same; then:</p>
          <Difference a={a.text} b={b.text} at={result.at} />
        </>
      )}
    </section>
  );
}

function ratioText(a: Session, b: Session): string {
  if (ratio.value === null) return '';
  if (isSimultaneous.value) return ' They shared the machine, so the speeds say little.';
  return ` ${b.request.method} was ${ratio.value.toFixed(2)} times as fast as ${a.request.method}.`;
}

export function RaceView() {
  return (
    <div class="race-grid">
      <RaceForm />
      <Result />
      <div class="lanes">
        <Lane index={0} />
        <Lane index={1} />
      </div>
      <Legend />
    </div>
  );
}
