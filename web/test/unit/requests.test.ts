import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

import { byLabel, parseMetrics, total } from '../../src/api/metrics';
import {
  curlCommand,
  defaultSampling,
  requestBody,
  streamingBody,
  type GenerationRequest,
} from '../../src/api/request';
import { acceptanceByDepth, pointOf, timeSplit, totalsOf } from '../../src/views/meters_data';

const request: GenerationRequest = {
  ...defaultSampling,
  endpoint: 'completion',
  prompt: "It's \"$HOME\" `here`\n\\",
  messages: [],
  method: 'ar',
};

test('options that do nothing are left out of a request', () => {
  const body = requestBody({ ...request, top_k: 40, top_p: 1 }, 'demo');
  expect(Object.keys(body).sort()).toEqual(
    ['max_tokens', 'method', 'model', 'prompt', 'seed', 'temperature', 'top_k'].sort(),
  );
});

test('the page asks for trace and usage', () => {
  expect(streamingBody(request, null)).toMatchObject({
    stream: true,
    stream_options: { include_usage: true },
    gumbelspec_trace: true,
  });
});

test('a shell reads the curl command as it was meant', () => {
  const command = curlCommand(request, 'demo', 'http://127.0.0.1:8080', true);
  const printed = command.replace(/^curl/, 'print() { printf "%s\\0" "$@"; }; GUMBELSPEC_API_KEY=k; print');
  const words = execFileSync('bash', ['-c', printed]).toString().split('\0');
  expect(words).toContain('Authorization: Bearer k');
  expect(words).toContain('http://127.0.0.1:8080/v1/completions');
  const body = JSON.parse(words[words.indexOf('-d') + 1]!);
  expect(body).toEqual({ ...requestBody(request, 'demo'), stream: true });
});

const scrape = (tokens: number) => `# HELP gumbelspec:generation_tokens_total Generated tokens.
# TYPE gumbelspec:generation_tokens_total counter
gumbelspec:generation_tokens_total ${tokens}
gumbelspec:tokens_per_pass_bucket{le="+Inf"} 4
gumbelspec:tokens_per_pass_sum ${tokens}
gumbelspec:tokens_per_pass_count ${tokens / 2}
gumbelspec:spec_decode_num_drafts_total 10
gumbelspec:spec_decode_draft_tokens_total 100
gumbelspec:spec_decode_accepted_tokens_total 25
gumbelspec:spec_decode_accepted_tokens_per_pos_total{position="1"} 5
gumbelspec:spec_decode_accepted_tokens_per_pos_total{position="0"} 8
gumbelspec:engine_seconds_total{part="target"} 3
gumbelspec:engine_seconds_total{part="draft"} 1
gumbelspec:texts_active 2
`;

test('metrics with labels and without', () => {
  const m = parseMetrics(scrape(100) + 'odd{a="q\\"\\n",b="2"} +Inf 123\n');
  expect(total(m, 'gumbelspec:generation_tokens_total')).toBe(100);
  expect(total(m, 'missing')).toBeNull();
  expect(m.get('odd')).toEqual([{ labels: { a: 'q"\n', b: '2' }, value: Infinity }]);
  expect(byLabel(m, 'gumbelspec:engine_seconds_total', 'part').get('target')).toBe(3);
  expect(total(m, 'gumbelspec:engine_seconds_total', { part: 'draft' })).toBe(1);
});

test('rates are what grew between two readings', () => {
  const before = { at: 10, metrics: parseMetrics(scrape(100)) };
  const now = { at: 12, metrics: parseMetrics(scrape(160)) };
  expect(pointOf(before, now)).toEqual({
    at: 12,
    tokensPerSecond: 30,
    tokensPerPass: 2,
    active: 2,
    waiting: null,
  });
  // A server that began anew has no rate.
  expect(pointOf(now, before).tokensPerSecond).toBeNull();
});

test('totals, acceptance and the split of time', () => {
  const m = parseMetrics(scrape(100));
  expect(totalsOf(m)).toMatchObject({ tokens: 100, tokensPerPass: 2, acceptedShare: 0.25 });
  expect(acceptanceByDepth(m)).toEqual([0.8, 0.5]);
  expect(timeSplit(m)).toEqual({ prompt: 0, draft: 0.25, target: 0.75, own: 0 });
  expect(timeSplit(parseMetrics(''))).toBeNull();
});
