import { expect, test } from 'vitest';

import { describeRound, kNodeHeight, layoutRound, neighbour, percent } from '../../src/tree/layout';
import { describeNode } from '../../src/tree/tree_view';
import { roundToSvg } from '../../src/tree/export_svg';
import { makeRound } from '../../mock/text.mjs';
import { parseRound, type TraceRound } from '../../src/api/trace';
import { node, sampleRound } from './rounds';

function wideRound(): TraceRound {
  const nodes = [node(0, -1, 'x', 1, 0)];
  for (let i = 1; i <= 256; i++) nodes.push(node(i, Math.floor((i - 1) / 3), ` word${i}`, 1 / i));
  return { ...sampleRound(), nodes, path: [0], tokens: [] };
}

test('every node has its kind', () => {
  const kinds = Object.fromEntries(layoutRound(sampleRound()).nodes.map((n) => [n.key, n.kind]));
  expect(kinds).toEqual({
    0: 'root',
    1: 'rejected',
    2: 'accepted',
    3: 'rejected',
    4: 'accepted',
    own: 'own',
  });
});

test("the target's own choice hangs where it left the tree", () => {
  const own = layoutRound(sampleRound()).nodes.find((n) => n.kind === 'own');
  expect(own).toMatchObject({ parent: '4', text: '!', depth: 3, value: null });
});

test('a node tells what proposed it, also read from a stream', () => {
  const round = sampleRound();
  const sent = { ...round, nodes: round.nodes.map((n, i) => (i === 0 ? n : { ...n, source: 'head' })) };
  const { nodes } = layoutRound(parseRound(JSON.parse(JSON.stringify(sent)), 'round'));
  expect(nodes.filter((n) => n.source === 'head').map((n) => n.key)).toEqual(
    nodes.filter((n) => n.kind === 'accepted' || n.kind === 'rejected').map((n) => n.key),
  );
  const accepted = nodes.find((n) => n.kind === 'accepted')!;
  expect(describeNode(accepted)).toContain("drafted, accepted · from the target's draft head");
  expect(describeNode({ ...accepted, source: 'other' })).toContain('from other');
  expect(describeNode({ ...accepted, source: null })).not.toContain('from');
});

test('a round without a draft is the root and a choice', () => {
  const round = { ...sampleRound(), nodes: [node(0, -1, 'x', 1, 0)], path: [0] };
  const layout = layoutRound({ ...round, tokens: round.tokens.slice(2) });
  expect(layout.nodes.map((n) => n.kind)).toEqual(['root', 'own']);
  expect(layout.links).toHaveLength(1);
});

test('children are ordered by value, the likeliest on top', () => {
  const byKey = new Map(layoutRound(sampleRound()).nodes.map((n) => [n.key, n]));
  expect(byKey.get('2')!.y).toBeLessThan(byKey.get('1')!.y);
  expect(byKey.get('4')!.y).toBeLessThan(byKey.get('3')!.y);
});

test('no two nodes touch and all lie within the picture', () => {
  for (const round of [sampleRound(), wideRound()]) {
    const { nodes, width, height } = layoutRound(round);
    for (const n of nodes) {
      expect(n.x).toBeGreaterThanOrEqual(0);
      expect(n.x + n.width).toBeLessThanOrEqual(width);
      expect(n.y - kNodeHeight / 2).toBeGreaterThanOrEqual(0);
      expect(n.y + kNodeHeight / 2).toBeLessThanOrEqual(height);
    }
    const sorted = [...nodes].sort((a, b) => a.depth - b.depth || a.y - b.y);
    sorted.slice(1).forEach((n, i) => {
      if (n.depth === sorted[i]!.depth) expect(n.y - sorted[i]!.y).toBeGreaterThan(kNodeHeight);
    });
  }
});

test('columns do not overlap', () => {
  const { nodes } = layoutRound(wideRound());
  for (const n of nodes) {
    const parent = nodes.find((p) => p.key === n.parent);
    if (parent) expect(n.x).toBeGreaterThan(parent.x + parent.width);
  }
});

test('the exported picture names every node and escapes texts', () => {
  const round = sampleRound();
  round.nodes[1]!.text = ' <b>&"';
  const svg = roundToSvg(round);
  expect(svg).toContain('&lt;b&gt;&amp;&quot;');
  expect(svg).not.toContain('<b>');
  expect(svg.match(/data-kind="accepted"/g)).toHaveLength(2);
  expect(svg.match(/data-kind="rejected"/g)).toHaveLength(2);
  expect(svg.match(/data-kind="own"/g)).toHaveLength(1);
  expect(svg).not.toMatch(/NaN|undefined/);
});

test('a round in words', () => {
  expect(describeRound(sampleRound())).toBe(
    "4 drafted; accepted: ␣the ␣cat; the target's own: !",
  );
});

test('values as percent', () => {
  expect([0, 0.001, 0.42, 1].map(percent)).toEqual(['0%', '<1%', '42%', '100%']);
});

test('the mock makes rounds that the page accepts, and one text per seed', () => {
  const textOf = (method: string) => {
    let text = '';
    for (let position = 0, round = 0; position < 60; round++) {
      const made = parseRound(makeRound({ seed: 5, position, round, method, nLeft: 60 - position }));
      text += made.tokens.map((t) => t.text).join('');
      position += made.tokens.length;
    }
    return text;
  };
  expect(textOf('gumbel-tree')).toBe(textOf('ar'));
  expect(textOf('gumbel-chain:length=2')).toBe(textOf('ar'));
});

test('arrow keys go along the path, back, and within a column', () => {
  const layout = layoutRound(sampleRound());
  const go = (from: string, key: string) =>
    neighbour(layout, layout.nodes.find((n) => n.key === from)!, key)?.key ?? null;
  expect(['0', '2', '4'].map((n) => go(n, 'ArrowRight'))).toEqual(['2', '4', 'own']);
  expect(go('4', 'ArrowLeft')).toBe('2');
  expect(go('2', 'ArrowDown')).toBe('1');
  expect(go('1', 'ArrowUp')).toBe('2');
  expect(go('own', 'ArrowRight')).toBeNull();
  expect(go('0', 'ArrowLeft')).toBeNull();
});
