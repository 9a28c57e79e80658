// Watch: the draft tree, round by round.
import { useEffect } from 'preact/hooks';

import type { TraceRound } from '../api/trace';
import type { Session } from '../session/session';
import { currentRun, serverState, session, shownRound, view, watchedRound } from '../state';
import { roundToSvg } from '../tree/export_svg';
import { Legend } from '../tree/legend';
import { Timeline } from '../tree/timeline';
import { TreeView } from '../tree/tree_view';
import { download } from '../ui/download';
import { useThrottled } from '../ui/hooks';
import { Icon, type IconName } from '../ui/icons';
import { loadError, LoadSession, SaveSession } from '../ui/session_files';
import { follow, isPlaying, showRound, speed, speeds, step, togglePlay } from './playback';
import { NoDraftNote } from './write';
import { startWriting } from './write_run';

function Empty() {
  return (
    <div class="card empty-state">
      <Icon name="watch" />
      <h2>See how a text is made</h2>
      <p class="muted">
        A small model drafts a tree of what might come next; the large one goes through it and keeps
        what it would have said anyway. Round by round, you can watch both.
      </p>
      <div class="row centre">
        {serverState.value !== 'offline' && (
          <button class="primary" onClick={startWriting}>
            <Icon name="play" />
            Write a text and watch
          </button>
        )}
        <LoadSession isPrimary={serverState.value === 'offline'} />
      </div>
    </div>
  );
}

function Transport({ session: s, index }: { session: Session; index: number }) {
  const last = s.rounds.length - 1;
  const button = (icon: IconName, label: string, isOff: boolean, act: () => void) => (
    <button class="icon-only" aria-label={label} title={label} disabled={isOff} onClick={act}>
      <Icon name={icon} />
    </button>
  );
  return (
    <div class="transport">
      <Timeline session={s} shown={index} onPick={(i) => step(i - shownRound())} />
      <input
        type="range"
        class="scrubber"
        min={0}
        max={Math.max(0, last)}
        value={index}
        aria-label="Round"
        aria-valuetext={`Round ${s.rounds[index]?.round ?? index} of ${last + 1}`}
        onInput={(e) => {
          isPlaying.value = false;
          showRound(Number(e.currentTarget.value));
        }}
      />
      <div class="row spread">
        <div class="row tight" role="group" aria-label="Rounds">
          {button('first', 'First round', index === 0, () => step(-index))}
          {button('back', 'Round before', index === 0, () => step(-1))}
          <button
            class="primary icon-only"
            aria-label={isPlaying.value ? 'Pause' : 'Play'}
            title={isPlaying.value ? 'Pause (space)' : 'Play (space)'}
            onClick={togglePlay}
          >
            <Icon name={isPlaying.value ? 'pause' : 'play'} />
          </button>
          {button('forward', 'Next round', index >= last, () => step(1))}
          {button('last', 'Newest round', index >= last && watchedRound.value === null, follow)}
        </div>
        <label class="inline-field">
          <span>Speed</span>
          <select
            value={speed.value}
            onChange={(e) => (speed.value = Number(e.currentTarget.value))}
          >
            {speeds.map((n) => (
              <option key={n} value={n}>
                {n === 1 ? '1 round/s' : `${n} rounds/s`}
              </option>
            ))}
          </select>
        </label>
      </div>
    </div>
  );
}

const kContext = 160; // characters of the text before the round

function Context({ session: s, round, index }: { session: Session; round: TraceRound; index: number }) {
  let first = s.tokens.findIndex((t) => t.round === index);
  if (first < 0) first = s.tokens.length;
  const end = first + round.tokens.length;
  const before = s.pieces.shown.slice(0, first).join('');
  const given = s.request.endpoint === 'chat' ? '' : s.request.prompt;
  const whole = given + before;
  const kept = whole.slice(-kContext);
  return (
    <p class="context">
      {whole.length > kept.length && '…'}
      {kept}
      {s.tokens.slice(first, end).map((token, i) => (
        <mark key={i} class={token.drafted ? 't accepted' : 't own'}>
          {s.pieces.shown[first + i]}
        </mark>
      ))}
    </p>
  );
}

function TimeSplit({ round }: { round: TraceRound }) {
  const { draft, target, own } = round.ms;
  const sum = draft + target + own;
  if (!(sum > 0)) return null;
  const part = (name: string, ms: number) => (
    <span class={`part ${name}`} style={{ width: `${(100 * ms) / sum}%` }} />
  );
  return (
    <div class="time-split">
      <div class="split-bar" aria-hidden="true">
        {part('draft', draft)}
        {part('target', target)}
        {part('own-time', own)}
      </div>
      <ul class="split-legend">
        <li class="draft">draft {draft.toFixed(1)} ms</li>
        <li class="target">target {target.toFixed(1)} ms</li>
        <li class="own-time">own work {own.toFixed(1)} ms</li>
      </ul>
    </div>
  );
}

function RoundFacts({ session: s, round, index }: { session: Session; round: TraceRound; index: number }) {
  const nDrafted = Math.max(0, round.nodes.length - 1);
  const nAccepted = round.tokens.filter((t) => t.drafted).length;
  const nOwn = round.tokens.length - nAccepted;
  return (
    <section class="card facts" aria-label="This round">
      <h2>This round</h2>
      <p class="sum">
        <b class="rejected-ink">{nDrafted}</b> drafted → <b class="accepted-ink">{nAccepted}</b> accepted
        {nOwn > 0 && (
          <>
            {' '}
            + <b class="own-ink">{nOwn}</b> the target's own
          </>
        )}{' '}
        = <b>{round.tokens.length}</b> {round.tokens.length === 1 ? 'token' : 'tokens'} from one pass
      </p>
      <Context session={s} round={round} index={index} />
      <TimeSplit round={round} />
    </section>
  );
}

function onKeys(event: KeyboardEvent): void {
  if (view.value !== 'watch' || event.defaultPrevented) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  if (target.closest('input, select, textarea, dialog')) return;
  const presses = target.closest('button, a, summary') !== null;
  if (event.key === 'ArrowRight') step(1);
  else if (event.key === 'ArrowLeft') step(-1);
  else if (event.key === ' ' && !presses) togglePlay();
  else if (event.key === 'Home') step(-shownRound());
  else if (event.key === 'End') follow();
  else return;
  event.preventDefault();
}

function Shown({ session: s }: { session: Session }) {
  useThrottled(s.version, 100);
  const index = shownRound();
  const round = s.rounds[index];
  const isLive = currentRun.value !== null && watchedRound.value === null;
  return (
    <div class="watch-grid">
      <section class="card watch-card" aria-label="Draft tree">
        <div class="row spread">
          <h2>
            {round ? `Round ${round.round}` : 'Waiting for the first round'}{' '}
            <span class="muted light">of {s.rounds.length}</span>
            {isLive && <span class="live">live</span>}
          </h2>
          <Legend hasRejected />
        </div>
        {round ? <TreeView round={round} lights={!isLive && !(isPlaying.value && speed.value > 5)} /> : <div class="tree-frame" />}
        <Transport session={s} index={index} />
      </section>
      <aside class="watch-side">
        {round && <RoundFacts session={s} round={round} index={index} />}
        <NoDraftNote />
        <section class="card" aria-label="Files">
          <h2>Keep it</h2>
          <div class="row wrap">
            <button
              disabled={!round}
              onClick={() =>
                download(`gumbelspec-round-${round!.round}.svg`, 'image/svg+xml', roundToSvg(round!))
              }
            >
              <Icon name="save" />
              Round as SVG
            </button>
            <SaveSession />
            <LoadSession />
          </div>
        </section>
        <p class="muted keys">
          <kbd>←</kbd> <kbd>→</kbd> rounds · <kbd>Space</kbd> play · on the tree, arrows go from node to
          node, <kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom
        </p>
      </aside>
    </div>
  );
}

export function WatchView() {
  useEffect(() => {
    addEventListener('keydown', onKeys);
    return () => removeEventListener('keydown', onKeys);
  }, []);
  if (view.value !== 'watch') return null;
  const s = session.value;
  return (
    <>
      {loadError.value && (
        <p class="error" role="alert">
          {loadError.value}
        </p>
      )}
      {s?.error && s.rounds.length === 0 && (
        <p class="error" role="alert">
          {s.error}
        </p>
      )}
      {s && (s.rounds.length > 0 || s.status === 'running') ? <Shown session={s} /> : <Empty />}
    </>
  );
}
