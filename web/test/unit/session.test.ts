import { expect, test } from 'vitest';

import { defaultSampling, type GenerationRequest } from '../../src/api/request';
import { parseRound, TraceError } from '../../src/api/trace';
import { compareTexts } from '../../src/session/compare';
import { sessionFromJson, sessionToJson } from '../../src/session/file';
import { Pieces, visible } from '../../src/session/pieces';
import { Session } from '../../src/session/session';
import { chunk, sampleRound, token } from './rounds';

const request: GenerationRequest = {
  ...defaultSampling,
  endpoint: 'completion',
  prompt: 'The old house',
  messages: [],
  method: 'gumbel-tree',
};

function sampleSession(): Session {
  const session = new Session(request);
  session.apply(chunk(' the cat!', sampleRound(0, 0)), 1000);
  session.apply(chunk(' the cat!', sampleRound(1, 3)), 2000);
  session.apply({ choices: [{ index: 0, text: '', finish_reason: 'length' }] }, 2000);
  session.apply(
    { choices: [], usage: { completion_tokens: 6 }, gumbelspec: { seed: 7, tokens_per_pass: 3 } },
    2000,
  );
  session.end('done');
  return session;
}

test('a session collects text, tokens and rounds', () => {
  const s = sampleSession();
  expect(s.text).toBe(' the cat! the cat!');
  expect(s.model).toBe('demo');
  expect(s.tokens.map((t) => t.round)).toEqual([0, 0, 0, 1, 1, 1]);
  expect(s.pieces.shown.join('')).toBe(s.text);
  expect(s.nDrafted).toBe(8);
  expect(s.nAccepted).toBe(4);
  expect(s.tokensPerPass).toBe(3);
  expect(s.finish).toBe('length');
});

test('the speed until the server gives its own leaves out the first round', () => {
  expect(sampleSession().tokensPerSecond).toBe(3);
});

test('a chat answer comes in its deltas', () => {
  const s = new Session({ ...request, endpoint: 'chat' });
  s.apply({ choices: [{ index: 0, delta: { role: 'assistant', content: null } }] }, 0);
  s.apply({ choices: [{ index: 0, delta: { content: 'Hi' } }] }, 0);
  expect(s.text).toBe('Hi');
});

test('thoughts and calls come in their deltas, and go into the file', () => {
  const s = new Session({ ...request, endpoint: 'chat' });
  const say = (delta: object) => s.apply({ choices: [{ index: 0, delta }] }, 0);
  say({ role: 'assistant', content: null });
  say({ reasoning_content: 'Let me ' });
  say({ reasoning_content: 'see.' });
  say({ tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'weather' } }] });
  say({ tool_calls: [{ index: 0, function: { arguments: '{"city": ' } }] });
  say({ tool_calls: [{ index: 0, function: { arguments: '"Bern"}' } }] });
  say({ tool_calls: [{ index: 1, id: 'b', type: 'function', function: { name: 'time' } }] });
  say({ tool_calls: [{ index: 7, id: 'x', function: { name: 'lost' } }] });
  s.end('done');
  const calls = [
    { id: 'a', name: 'weather', arguments: '{"city": "Bern"}' },
    { id: 'b', name: 'time', arguments: '' },
  ];
  expect(s.text).toBe('');
  expect(s.reasoning).toBe('Let me see.');
  expect(s.calls).toEqual(calls);
  const again = sessionFromJson(sessionToJson(s));
  expect(again.reasoning).toBe(s.reasoning);
  expect(again.calls).toEqual(calls);
});

test('an error in the stream is thrown with its message', () => {
  const s = new Session(request);
  expect(() => s.apply({ error: { message: 'a pass failed' } }, 0)).toThrow('a pass failed');
});

test('a character in several tokens is shown with the first of them', () => {
  const p = new Pieces();
  p.add(' a', ' a');
  p.add('\uFFFD', ' a');
  p.add('\uFFFD', ' a京');
  p.add(' b', ' a京 b');
  expect(p.shown).toEqual([' a', '京', '', ' b']);
  p.add('\uFFFD', ' a京 b');
  p.finish(' a京 b🦔');
  expect(p.shown.join('')).toBe(' a京 b🦔');
});

test('a token that a stop string cut off shows what is left of it', () => {
  const p = new Pieces();
  p.add(' one', ' one tw');
  p.add(' two', ' one tw');
  p.finish(' one tw');
  expect(p.shown).toEqual([' one', ' tw']);
});

test('white space and control characters of a token can be seen', () => {
  expect(visible(' the\n')).toBe('␣the↵');
  expect(visible('')).toBe('∅');
  expect(visible('\u202ea')).toBe('·a');
});

test('a saved session comes back as it was', () => {
  const s = sampleSession();
  const back = sessionFromJson(sessionToJson(s));
  expect(back.text).toBe(s.text);
  expect(back.rounds).toEqual(s.rounds);
  expect(back.tokens).toEqual(s.tokens);
  expect(back.request).toEqual(s.request);
  expect(back.summary).toEqual(s.summary);
  expect(back.status).toBe('done');
  const file = (session: Session) => JSON.parse(sessionToJson(session, new Date(0)));
  expect(file(back)).toEqual(file(s));
});

test('files that are not sessions are refused with the reason', () => {
  const good = JSON.parse(sessionToJson(sampleSession()));
  const refused = (change: object) => () => sessionFromJson(JSON.stringify({ ...good, ...change }));
  expect(() => sessionFromJson('{')).toThrow('not JSON');
  expect(() => sessionFromJson('[]')).toThrow('gumbelspec-session');
  expect(refused({ version: 2 })).toThrow('version 2');
  expect(refused({ rounds: [{}] })).toThrow(/rounds\[0\]/);
  expect(refused({})).not.toThrow();
});

test('a round whose path does not run down its tree is refused', () => {
  const round = sampleRound();
  expect(() => parseRound(round)).not.toThrow();
  expect(() => parseRound({ ...round, path: [0, 4] })).toThrow(TraceError);
  expect(() => parseRound({ ...round, path: [2, 4] })).toThrow(TraceError);
  const nodes = round.nodes.map((n) => (n.id === 2 ? { ...n, parent: 4 } : n));
  expect(() => parseRound({ ...round, nodes })).toThrow(/nodes\[2\].parent/);
});

test('a margin without a limit is null', () => {
  const round = sampleRound();
  round.tokens = [{ ...token('x', false), margin: null, runner_up: null }];
  expect(parseRound(JSON.parse(JSON.stringify(round))).tokens[0]).toMatchObject({
    margin: null,
    runner_up: null,
  });
});

test('texts are compared to the character', () => {
  expect(compareTexts('abc', 'abc')).toEqual({ isIdentical: true, at: 3 });
  expect(compareTexts('abc', 'abd')).toEqual({ isIdentical: false, at: 2 });
  expect(compareTexts('abc', 'ab')).toEqual({ isIdentical: false, at: 2 });
  // These two share the first half of their code.
  expect(compareTexts('a🦔', 'a🦕')).toEqual({ isIdentical: false, at: 1 });
});
