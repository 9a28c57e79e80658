// A race: the same prompt and seed with two methods.
import { computed, signal } from '@preact/signals';

import { compareTexts, type Comparison } from '../session/compare';
import { startRun, type Run } from '../session/run';
import type { Session } from '../session/session';
import { completionRequest } from './form';

export const racers = [signal('ar'), signal('gumbel-tree')] as const;
// One after the other gives each the whole machine, so only then are the speeds comparable.
export const isSimultaneous = signal(false);
export const lanes = [signal<Session | null>(null), signal<Session | null>(null)] as const;
export const isRacing = signal(false);
export const comparison = signal<Comparison | null>(null);

let runs: Run[] = [];
let isStopped = false;

function start(lane: 0 | 1): Run {
  const run = startRun(completionRequest(racers[lane].value));
  lanes[lane].value = run.session;
  runs.push(run);
  return run;
}

export async function startRace(): Promise<void> {
  runs = [];
  isStopped = false;
  isRacing.value = true;
  comparison.value = null;
  lanes[0].value = null;
  lanes[1].value = null;
  const first = start(0);
  if (!isSimultaneous.value) await first.done;
  const second = isStopped || first.session.status === 'failed' ? null : start(1);
  await Promise.all([first.done, second?.done]);
  isRacing.value = false;
  const sessions = [first.session, second?.session];
  if (sessions.every((s) => s?.status === 'done')) {
    comparison.value = compareTexts(sessions[0]!.text, sessions[1]!.text);
  }
}

export function stopRace(): void {
  isStopped = true;
  for (const run of runs) run.stop();
}

// How many times as fast the second lane was.
export const ratio = computed<number | null>(() => {
  if (!comparison.value) return null;
  const [a, b] = lanes.map((lane) => lane.value?.tokensPerSecond ?? null);
  return a && b ? b / a : null;
});
