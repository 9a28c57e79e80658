// The server's stream without a model: `npm run mock`, then `npm run dev`, or open its own address,
// which serves dist/ as the program does. Options: --port N, --delay MS between rounds, --key KEY.
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { makeRound } from './text.mjs';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const counts = { rounds: 0, drafts: 0, drafted: 0, accepted: 0, tokens: 0, active: 0, ms: [0, 0, 0], depths: [] };

function countRound(trace) {
  const nDrafted = trace.nodes.length - 1;
  counts.rounds++;
  counts.drafted += nDrafted;
  counts.drafts += nDrafted > 0 ? 1 : 0;
  counts.tokens += trace.tokens.length;
  counts.ms[0] += trace.ms.draft;
  counts.ms[1] += trace.ms.target;
  counts.ms[2] += trace.ms.own;
  for (const t of trace.tokens) {
    if (!t.drafted) continue;
    counts.accepted++;
    counts.depths[t.depth] = (counts.depths[t.depth] ?? 0) + 1;
  }
}

function metrics() {
  const lines = [
    ['spec_decode_num_drafts_total', counts.drafts],
    ['spec_decode_draft_tokens_total', counts.drafted],
    ['spec_decode_accepted_tokens_total', counts.accepted],
    ...Array.from(counts.depths, (n, i) => [`spec_decode_accepted_tokens_per_pos_total{position="${i}"}`, n ?? 0]),
    ['tokens_per_pass_sum', counts.tokens],
    ['tokens_per_pass_count', counts.rounds],
    ['generation_tokens_total', counts.tokens],
    ['rounds_total', counts.rounds],
    ['engine_seconds_total{part="prompt"}', 0.02],
    ['engine_seconds_total{part="draft"}', counts.ms[0] / 1000],
    ['engine_seconds_total{part="target"}', counts.ms[1] / 1000],
    ['engine_seconds_total{part="own"}', counts.ms[2] / 1000],
    ['texts_active', counts.active],
    ['texts_waiting', 0],
    ['slots', 4],
    ['kv_cache_usage_ratio', Math.min(1, counts.tokens / 8192)],
  ];
  return lines.map(([name, value]) => `gumbelspec:${name} ${value}`).join('\n') + '\n';
}

function bodyOf(request) {
  return new Promise((resolve) => {
    let body = '';
    request.on('data', (part) => (body += part));
    request.on('end', () => resolve(body));
  });
}

function fail(response, status, message) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ error: { code: null, message, type: 'invalid_request_error', param: null } }));
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Before the text: thoughts where the last message says "think", and a call of the first tool.
function extras(body) {
  const deltas = [];
  if (/think/.test(body.messages?.at(-1)?.content ?? '')) {
    deltas.push({ reasoning_content: 'First I look at ' }, { reasoning_content: 'the house.' });
  }
  const name = body.tools?.[0]?.function?.name;
  if (name === undefined) return deltas;
  const call = (part) => deltas.push({ tool_calls: [{ index: 0, ...part }] });
  call({ id: 'call0', type: 'function', function: { name } });
  for (const text of ['{"city": ', '"Bern"}']) call({ function: { arguments: text } });
  return deltas;
}

async function answer(request, response, isChat, delay) {
  const body = JSON.parse(await bodyOf(request));
  const method = body.method ?? 'gumbel-tree';
  if (!/^(ar|gumbel-tree|gumbel-beam|gumbel-chain|greedy-chain)(:|$)/.test(method)) {
    return fail(response, 400, `method is "${method}", which does not exist; use gumbel-tree, gumbel-beam, gumbel-chain, greedy-chain or ar`);
  }
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  const base = { id: 'cmpl-1', object: isChat ? 'chat.completion.chunk' : 'text_completion', created: 0, model: 'mock' };
  const send = (fields) => response.write(`data: ${JSON.stringify({ ...base, ...fields })}\n\n`);
  const choice = (text, finish_reason) =>
    isChat ? { index: 0, delta: text === '' ? {} : { content: text }, finish_reason } : { index: 0, text, finish_reason };
  if (isChat) {
    for (const delta of extras(body)) send({ choices: [{ index: 0, delta, finish_reason: null }] });
  }
  const began = Date.now();
  let position = 0;
  let round = 0;
  let nDrafted = 0;
  let nAccepted = 0;
  counts.active++;
  while (position < body.max_tokens && !response.destroyed) {
    const trace = makeRound({ seed: body.seed ?? 0, position, round, method, nLeft: body.max_tokens - position });
    if (delay > 0) await sleep(delay);
    else await new Promise(setImmediate);
    countRound(trace);
    nDrafted += trace.nodes.length - 1;
    nAccepted += trace.tokens.filter((t) => t.drafted).length;
    send({
      choices: [choice(trace.tokens.map((t) => t.text).join(''), null)],
      ...(body.gumbelspec_trace ? { gumbelspec_trace: trace } : {}),
    });
    position += trace.tokens.length;
    round++;
  }
  counts.active--;
  if (response.destroyed) return;
  const seconds = (Date.now() - began) / 1000;
  send({ choices: [choice('', 'length')] });
  send({
    choices: [],
    usage: { prompt_tokens: 4, completion_tokens: position, total_tokens: position + 4 },
    timings: { prompt_n: 4, predicted_n: position, predicted_ms: seconds * 1000, predicted_per_second: position / Math.max(seconds, 1e-3), draft_n: nDrafted, draft_n_accepted: nAccepted },
    gumbelspec: { seed: body.seed ?? 0, noise_version: 1, method, tokens_per_pass: position / Math.max(1, round) },
  });
  response.end('data: [DONE]\n\n');
}

function sendFile(path, response) {
  const file = join(dist, path === '/' ? 'index.html' : path.slice(1));
  if (path.includes('..') || !existsSync(file)) return fail(response, 404, `there is no ${path}`);
  response.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': policy });
  createReadStream(file).pipe(response);
}

export function startMock({ port = 8090, delay = 25, key = '' } = {}) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const needsKey = pathname.startsWith('/v1') || pathname === '/metrics';
    if (key && needsKey && request.headers.authorization !== `Bearer ${key}`) {
      return fail(response, 401, 'the request needs a valid API key');
    }
    if (pathname === '/v1/models') {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      return response.end(JSON.stringify({ object: 'list', data: [{ id: 'mock', object: 'model' }] }));
    }
    if (pathname === '/metrics') {
      response.writeHead(200, { 'Content-Type': 'text/plain' });
      return response.end(metrics());
    }
    if (pathname === '/v1/completions') return answer(request, response, false, delay);
    if (pathname === '/v1/chat/completions') return answer(request, response, true, delay);
    return sendFile(pathname, response);
  });
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve({ server, url: `http://127.0.0.1:${server.address().port}` }));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { port: { type: 'string' }, delay: { type: 'string' }, key: { type: 'string' } },
  });
  const { url } = await startMock({
    port: Number(values.port ?? 8090),
    delay: Number(values.delay ?? 25),
    key: values.key ?? '',
  });
  console.log(url);
}
