// Meters: what the server does, from its /metrics.
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

import { apiKey, fetchMetrics, isOffline } from '../api/client';
import { parseMetrics } from '../api/metrics';
import { messageOf } from '../session/run';
import { view } from '../state';
import { Chart } from '../ui/chart';
import { Icon } from '../ui/icons';
import { number } from '../ui/stats';
import {
  acceptanceByDepth,
  parts,
  pointOf,
  timeSplit,
  totalsOf,
  type Part,
  type Point,
  type Reading,
} from './meters_data';

const kEvery = 1000; // ms
const kKept = 300;

const latest = signal<Reading | null>(null);
const points = signal<Point[]>([]);
const problem = signal<string | null>(null);
const isPaused = signal(false);

async function poll(abort: AbortSignal): Promise<void> {
  try {
    const metrics = parseMetrics(await fetchMetrics(abort));
    const now: Reading = { at: Date.now() / 1000, metrics };
    const before = latest.value;
    // A gap (the view was hidden) has no rate of its own.
    if (before && now.at - before.at < (5 * kEvery) / 1000) {
      points.value = [...points.value.slice(1 - kKept), pointOf(before, now)];
    }
    latest.value = now;
    problem.value = null;
  } catch (error) {
    if (!abort.aborted) problem.value = messageOf(error);
  }
}

// While the view is shown; one request at a time.
function usePolling(): void {
  const isOn = view.value === 'meters' && !isPaused.value && !isOffline;
  const key = apiKey.value;
  useEffect(() => {
    if (!isOn) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const loop = async () => {
      if (!document.hidden) await poll(abort.signal);
      if (!abort.signal.aborted) timer = setTimeout(() => void loop(), kEvery);
    };
    void loop();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [isOn, key]);
}

function Tile({ label, value, note }: { label: string; value: string; note?: string }) {
  return (
    <div class="card tile">
      <dt>{label}</dt>
      <dd>
        {value}
        {note && <span class="muted note-text">{note}</span>}
      </dd>
    </div>
  );
}

function percentText(share: number | null): string {
  return share === null ? '–' : `${Math.round(share * 100)}%`;
}

function Tiles() {
  const metrics = latest.value?.metrics;
  const totals = metrics ? totalsOf(metrics) : null;
  const last = points.value.at(-1);
  return (
    <dl class="tiles">
      <Tile
        label="In flight"
        value={number(totals?.active, 0)}
        note={totals ? `${number(totals.waiting, 0)} waiting, ${number(totals.slots, 0)} slots` : ''}
      />
      <Tile
        label="Tokens per second"
        value={number(last?.tokensPerSecond, 1)}
        note={totals ? `${number(totals.tokens, 0)} in all` : ''}
      />
      <Tile
        label="Tokens per pass"
        value={number(totals?.tokensPerPass, 2)}
        note="since the start"
      />
      <Tile
        label="Drafts accepted"
        value={percentText(totals?.acceptedShare ?? null)}
        note="of drafted tokens"
      />
      <Tile label="Cache in use" value={percentText(totals?.cacheUse ?? null)} note="" />
    </dl>
  );
}

function Series() {
  const p = points.value;
  const times = p.map((x) => x.at);
  return (
    <div class="charts">
      <section class="card">
        <h2>Tokens per second</h2>
        <Chart
          label="Tokens per second over the last minutes"
          lines={[{ label: 'tokens/s', colour: '--accept' }]}
          data={[times, p.map((x) => x.tokensPerSecond)]}
        />
      </section>
      <section class="card">
        <h2>Tokens per pass</h2>
        <Chart
          label="Tokens per pass over the last minutes"
          lines={[{ label: 'tokens per pass', colour: '--accept' }]}
          data={[times, p.map((x) => x.tokensPerPass)]}
        />
      </section>
      <section class="card">
        <div class="row spread">
          <h2>Texts in flight</h2>
          <ul class="legend">
            <li>
              <span class="swatch line-accept" aria-hidden="true" />
              active
            </li>
            <li>
              <span class="swatch line-own" aria-hidden="true" />
              waiting
            </li>
          </ul>
        </div>
        <Chart
          label="Active and waiting texts over the last minutes"
          lines={[
            { label: 'active', colour: '--accept' },
            { label: 'waiting', colour: '--own' },
          ]}
          data={[times, p.map((x) => x.active), p.map((x) => x.waiting)]}
        />
      </section>
    </div>
  );
}

function Acceptance() {
  const metrics = latest.value?.metrics;
  const shares = metrics ? acceptanceByDepth(metrics).slice(0, 16) : [];
  return (
    <section class="card">
      <h2>Acceptance by depth</h2>
      {shares.length === 0 ? (
        <p class="muted">Nothing has been drafted yet.</p>
      ) : (
        <ol class="bars">
          {shares.map((share, i) => (
            <li key={i}>
              <span class="bar-label">depth {i + 1}</span>
              <span class="bar-track" aria-hidden="true">
                <span class="bar-fill" style={{ width: `${100 * Math.min(1, share)}%` }} />
              </span>
              <span class="bar-value">{percentText(share)}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

const partNames: Record<Part, string> = {
  prompt: 'prompts',
  draft: 'draft passes',
  target: 'target passes',
  own: 'own work',
};

function Split() {
  const metrics = latest.value?.metrics;
  const split = metrics ? timeSplit(metrics) : null;
  return (
    <section class="card">
      <h2>Where the time goes</h2>
      {split === null ? (
        <p class="muted">Nothing has been computed yet.</p>
      ) : (
        <div class="time-split">
          <div class="split-bar tall" aria-hidden="true">
            {parts.map((part) => (
              <span
                key={part}
                class={`part ${part === 'own' ? 'own-time' : part}`}
                style={{ width: `${100 * split[part]}%` }}
              />
            ))}
          </div>
          <ul class="split-legend">
            {parts.map((part) => (
              <li key={part} class={part === 'own' ? 'own-time' : part}>
                {partNames[part]} {percentText(split[part])}
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}

export function MetersView() {
  usePolling();
  if (view.value !== 'meters') return null;
  return (
    <div class="meters-grid">
      <div class="row spread">
        <h2 class="page-title">Meters</h2>
        <button onClick={() => (isPaused.value = !isPaused.value)} aria-pressed={isPaused.value}>
          <Icon name={isPaused.value ? 'play' : 'pause'} />
          {isPaused.value ? 'Go on' : 'Pause'}
        </button>
      </div>
      {isOffline && <p class="note">Without a server there is nothing to measure.</p>}
      {problem.value && (
        <p class="error" role="alert">
          {problem.value}
        </p>
      )}
      <Tiles />
      <Series />
      <div class="charts two">
        <Acceptance />
        <Split />
      </div>
    </div>
  );
}
