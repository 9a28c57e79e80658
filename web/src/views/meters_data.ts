// From two readings of /metrics to what the meters show.
import { byLabel, total, type Metrics } from '../api/metrics';

export interface Reading {
  at: number; // seconds
  metrics: Metrics;
}

export interface Point {
  at: number;
  tokensPerSecond: number | null;
  tokensPerPass: number | null;
  active: number | null;
  waiting: number | null;
}

export const parts = ['prompt', 'draft', 'target', 'own'] as const;
export type Part = (typeof parts)[number];

const kName = 'gumbelspec:';

function read(metrics: Metrics, name: string): number | null {
  return total(metrics, kName + name);
}

// The growth of a counter; null where it is missing, or began anew with the server.
function growth(before: Metrics, now: Metrics, name: string): number | null {
  const [a, b] = [read(before, name), read(now, name)];
  return a === null || b === null || b < a ? null : b - a;
}

export function pointOf(before: Reading, now: Reading): Point {
  const tokens = growth(before.metrics, now.metrics, 'generation_tokens_total');
  const sum = growth(before.metrics, now.metrics, 'tokens_per_pass_sum');
  const count = growth(before.metrics, now.metrics, 'tokens_per_pass_count');
  const seconds = now.at - before.at;
  return {
    at: now.at,
    tokensPerSecond: tokens === null || seconds <= 0 ? null : tokens / seconds,
    tokensPerPass: sum === null || !count ? null : sum / count,
    active: read(now.metrics, 'texts_active'),
    waiting: read(now.metrics, 'texts_waiting'),
  };
}

export interface Totals {
  tokens: number | null;
  tokensPerPass: number | null;
  acceptedShare: number | null; // of the drafted tokens
  active: number | null;
  waiting: number | null;
  slots: number | null;
  cacheUse: number | null;
}

export function totalsOf(metrics: Metrics): Totals {
  const [sum, count] = [read(metrics, 'tokens_per_pass_sum'), read(metrics, 'tokens_per_pass_count')];
  const drafted = read(metrics, 'spec_decode_draft_tokens_total');
  const accepted = read(metrics, 'spec_decode_accepted_tokens_total');
  return {
    tokens: read(metrics, 'generation_tokens_total'),
    tokensPerPass: sum === null || !count ? null : sum / count,
    acceptedShare: accepted === null || !drafted ? null : accepted / drafted,
    active: read(metrics, 'texts_active'),
    waiting: read(metrics, 'texts_waiting'),
    slots: read(metrics, 'slots'),
    cacheUse: read(metrics, 'kv_cache_usage_ratio'),
  };
}

// Element i: the share of the rounds with a draft whose token of depth i + 1 was accepted.
export function acceptanceByDepth(metrics: Metrics): number[] {
  const drafts = read(metrics, 'spec_decode_num_drafts_total');
  if (!drafts) return [];
  const counts = byLabel(metrics, kName + 'spec_decode_accepted_tokens_per_pos_total', 'position');
  const out: number[] = [];
  for (const [position, count] of counts) {
    const i = Number(position);
    if (Number.isInteger(i) && i >= 0 && i < 64) out[i] = count / drafts;
  }
  return Array.from(out, (share) => share ?? 0);
}

export function timeSplit(metrics: Metrics): Record<Part, number> | null {
  const seconds = byLabel(metrics, kName + 'engine_seconds_total', 'part');
  const all = parts.reduce((sum, part) => sum + (seconds.get(part) ?? 0), 0);
  if (!(all > 0)) return null;
  return Object.fromEntries(
    parts.map((part) => [part, (seconds.get(part) ?? 0) / all]),
  ) as Record<Part, number>;
}
