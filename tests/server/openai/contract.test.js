// What OpenAI's own client makes of the server. Started by ./run, which tells where it listens.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const baseURL = process.env.GUMBELSPEC_URL + '/v1';
const expected = JSON.parse(process.env.GUMBELSPEC_EXPECTED); // of `gumbelspec generate --json`
const client = new OpenAI({ baseURL, apiKey: process.env.GUMBELSPEC_KEY, maxRetries: 0 });
const prompt = 'The old house';
const seed = 7;
const messages = [{ role: 'user', content: 'Tell me of the old house.' }];

const complete = (more = {}) =>
  client.completions.create({ model: 'demo', prompt, seed, max_tokens: 32, ...more });

async function metric(name) {
  const response = await fetch(process.env.GUMBELSPEC_URL + '/metrics', {
    headers: { Authorization: `Bearer ${process.env.GUMBELSPEC_KEY}` },
  });
  const line = (await response.text()).split('\n').find((l) => l.startsWith(name + ' '));
  return Number(line.split(' ')[1]);
}

test('the model is listed', async () => {
  const models = await client.models.list();
  assert.equal(models.data.length, 1);
  assert.equal(models.data[0].object, 'model');
});

test('a seed gives the text of gumbelspec generate', async () => {
  const answer = await complete();
  assert.equal(answer.object, 'text_completion');
  assert.equal(answer.choices[0].text, expected.text);
  assert.equal(answer.choices[0].finish_reason, 'length');
  assert.equal(answer.usage.completion_tokens, expected.tokens.length);
  assert.equal(answer.gumbelspec.seed, seed);
  assert.equal(answer.gumbelspec.noise_version, expected.noise_version);
});

test('a stream gives the same text', async () => {
  const stream = await complete({ stream: true, stream_options: { include_usage: true } });
  let text = '';
  let finish = null;
  let usage = null;
  let nChunks = 0;
  for await (const chunk of stream) {
    nChunks += 1;
    for (const choice of chunk.choices) {
      text += choice.text;
      finish = choice.finish_reason ?? finish;
    }
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, expected.text);
  assert.equal(finish, 'length');
  assert.equal(usage.completion_tokens, expected.tokens.length);
  assert.ok(nChunks > 2);
});

test('a chat is answered, streamed and not, with the same text', async () => {
  const ask = { model: 'demo', messages, seed, max_tokens: 24 };
  const answer = await client.chat.completions.create(ask);
  assert.equal(answer.object, 'chat.completion');
  assert.equal(answer.choices[0].message.role, 'assistant');
  assert.ok(answer.usage.prompt_tokens > 0);
  const stream = await client.chat.completions.create({ ...ask, stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? '';
  assert.equal(text, answer.choices[0].message.content);
});

test('the client\'s own helper collects a stream', async () => {
  const runner = client.chat.completions.stream({ model: 'demo', messages, seed, max_tokens: 8 });
  const whole = await runner.finalChatCompletion();
  assert.equal(whole.choices[0].message.role, 'assistant');
  assert.equal(whole.choices[0].finish_reason, 'length');
});

test('n choices are different texts', async () => {
  const answer = await complete({ n: 3, max_tokens: 24 });
  assert.deepEqual(answer.choices.map((c) => c.index).sort(), [0, 1, 2]);
  assert.equal(new Set(answer.choices.map((c) => c.text)).size, 3);
});

test('a request without a seed is told the one it got', async () => {
  const first = await complete({ seed: undefined });
  const again = await complete({ seed: first.gumbelspec.seed });
  assert.equal(again.choices[0].text, first.choices[0].text);
  const other = await complete({ seed: undefined });
  assert.notEqual(other.gumbelspec.seed, first.gumbelspec.seed);
});

test('a text ends in front of a stop string', async () => {
  const stop = expected.text.slice(8, 12);
  const answer = await complete({ stop: [stop] });
  assert.equal(answer.choices[0].text, expected.text.slice(0, expected.text.indexOf(stop)));
  assert.equal(answer.choices[0].finish_reason, 'stop');
});

test('a grammar is kept', async () => {
  const answer = await complete({ grammar: 'root ::= "yes" | "no"' });
  assert.ok(['yes', 'no'].includes(answer.choices[0].text));
});

test('log-probabilities come with the tokens', async () => {
  const answer = await complete({ logprobs: 2, max_tokens: 4 });
  const { tokens, token_logprobs: logprobs } = answer.choices[0].logprobs;
  assert.equal(tokens.length, 4);
  assert.ok(logprobs.every((p) => p <= 0));
});

test('an aborted stream frees its slot', async () => {
  const stream = await complete({ stream: true, max_tokens: 3000 });
  for await (const chunk of stream) {
    assert.ok(chunk.choices);
    break; // which aborts it
  }
  // No answer to wait for: the server tells.
  while ((await metric('gumbelspec:texts_active')) > 0) await new Promise(setImmediate);
});

test('an aborted request frees its slot', async () => {
  const abort = new AbortController();
  const running = client.completions.create(
    { model: 'demo', prompt, max_tokens: 3000 }, { signal: abort.signal });
  while ((await metric('gumbelspec:texts_active')) === 0) await new Promise(setImmediate);
  abort.abort();
  await assert.rejects(running, OpenAI.APIUserAbortError);
  while ((await metric('gumbelspec:texts_active')) > 0) await new Promise(setImmediate);
});

test('errors are the client\'s', async () => {
  await assert.rejects(complete({ temperature: -1 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, 'temperature');
    assert.equal(error.type, 'invalid_request_error');
    return true;
  });
  await assert.rejects(complete({ max_tokens: 'many' }), OpenAI.BadRequestError);
  await assert.rejects(complete({ prompt: 'word '.repeat(100000) }), OpenAI.BadRequestError);
  await assert.rejects(client.post('/nothing', { body: {} }), OpenAI.NotFoundError);
  const stranger = new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});

test('requests at once do not change each other', async () => {
  const seeds = Array.from({ length: 16 }, (_, i) => i);
  const alone = [];
  for (const s of seeds) alone.push((await complete({ seed: s })).choices[0].text);
  const together = await Promise.all(seeds.map((s) => complete({ seed: s })));
  assert.deepEqual(together.map((a) => a.choices[0].text), alone);
});

const parameters = {
  type: 'object',
  properties: {
    city: { type: 'string', enum: ['Paris', 'Rome', 'Oslo'] },
    days: { type: 'integer', minimum: 1, maximum: 9 },
  },
  required: ['city', 'days'],
};
const tools = [{ type: 'function', function: { name: 'weather', parameters } }];
const kCalls = 20;
// The grammar takes white space, of which this small model is fond.
const tidy = {
  temperature: 0.2, logit_bias: [['\n', false], ['\t', false], ['\n\n', false]],
};
const check = (input) => {
  assert.ok(['Paris', 'Rome', 'Oslo'].includes(input.city));
  assert.ok(Number.isInteger(input.days));
};

test('tools are called twenty times in a row', async () => {
  const talk = [...messages];
  for (let i = 0; i < kCalls; i += 1) {
    const answer = await client.chat.completions.create({
      model: 'demo', messages: talk.slice(-5), tools, tool_choice: 'required',
      parallel_tool_calls: false, seed: i, max_tokens: 400, ...tidy,
    });
    const [{ message, finish_reason: finish }] = answer.choices;
    assert.equal(finish, 'tool_calls');
    assert.equal(message.content, null);
    assert.equal(message.tool_calls.length, 1);
    check(JSON.parse(message.tool_calls[0].function.arguments));
    talk.push(message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'sunny' });
  }
});

test('streamed calls are those of the whole answer', async () => {
  const ask = {
    model: 'demo', messages, tools, tool_choice: 'required', parallel_tool_calls: false, seed,
    max_tokens: 400, ...tidy,
  };
  const whole = await client.chat.completions.create(ask);
  const runner = client.chat.completions.stream(ask);
  const streamed = await runner.finalChatCompletion();
  assert.equal(streamed.choices[0].finish_reason, 'tool_calls');
  assert.deepEqual(streamed.choices[0].message.tool_calls.map((c) => c.function.arguments),
    whole.choices[0].message.tool_calls.map((c) => c.function.arguments));
});

const responseTools = [{ type: 'function', name: 'weather', parameters, strict: true }];

test('responses call tools twenty times in a row', async () => {
  const input = [{ role: 'user', content: 'Weather?' }];
  for (let i = 0; i < kCalls; i += 1) {
    const answer = await client.responses.create({
      model: 'demo', input: input.slice(-5), tools: responseTools, tool_choice: 'required',
      parallel_tool_calls: false, max_output_tokens: 400, seed: i, ...tidy,
    });
    assert.equal(answer.status, 'completed');
    const call = answer.output.find((item) => item.type === 'function_call');
    check(JSON.parse(call.arguments));
    input.push(call, { type: 'function_call_output', call_id: call.call_id, output: 'sunny' });
  }
});

test('a response is streamed and counted', async () => {
  const ask = { model: 'demo', input: 'Tell me of the old house.', seed, max_output_tokens: 24 };
  const whole = await client.responses.create(ask);
  assert.equal(whole.status, 'incomplete');
  assert.ok(whole.output_text.length > 0);
  const streamed = await client.responses.stream(ask).finalResponse();
  assert.equal(streamed.output_text, whole.output_text);
  const counted = await client.post('/responses/input_tokens', { body: ask });
  assert.equal(counted.input_tokens, whole.usage.input_tokens);
});

const claude = new Anthropic({
  baseURL: process.env.GUMBELSPEC_URL, apiKey: process.env.GUMBELSPEC_KEY, maxRetries: 0,
});
const claudeTools = [{ name: 'weather', input_schema: parameters }];

test('messages call tools twenty times in a row', async () => {
  const talk = [{ role: 'user', content: 'Weather?' }];
  for (let i = 0; i < kCalls; i += 1) {
    const answer = await claude.messages.create({
      model: 'demo', max_tokens: 400, ...tidy, messages: talk.length > 5 ? talk.slice(-5) : talk,
      tools: claudeTools, seed: i,
      tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true },
    });
    assert.equal(answer.stop_reason, 'tool_use');
    const call = answer.content.find((block) => block.type === 'tool_use');
    check(call.input);
    talk.push({ role: 'assistant', content: [call] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'sunny' }] });
  }
});

test('a message is streamed and counted', async () => {
  const ask = {
    model: 'demo', max_tokens: 24, seed, system: 'Be brief.',
    messages: [{ role: 'user', content: 'Tell me of the old house.' }],
  };
  const whole = await claude.messages.create(ask);
  assert.equal(whole.stop_reason, 'max_tokens');
  const streamed = await claude.messages.stream(ask).finalMessage();
  assert.deepEqual(streamed.content, whole.content);
  const called = await claude.messages.stream({
    ...ask, max_tokens: 400, ...tidy, tools: claudeTools,
    tool_choice: { type: 'any', disable_parallel_tool_use: true },
  }).finalMessage();
  check(called.content.find((block) => block.type === 'tool_use').input);
  const { max_tokens: _, ...count } = ask;
  const counted = await claude.messages.countTokens(count);
  assert.equal(counted.input_tokens,
    whole.usage.input_tokens + whole.usage.cache_read_input_tokens);
});
