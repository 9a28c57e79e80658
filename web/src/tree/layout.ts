// Where the nodes of a round's tree go: the root on the left, a column per depth.
import { hierarchy, tree } from 'd3-hierarchy';
import { linkHorizontal } from 'd3-shape';

import type { TraceRound } from '../api/trace';
import { visible } from '../session/pieces';

// root; accepted: the target went through it; rejected: drafted in vain; own: what the target chose
// where it left the tree.
export type Kind = 'root' | 'accepted' | 'rejected' | 'own';

export interface PlacedNode {
  key: string; // "7", or "own"
  parent: string | null;
  kind: Kind;
  label: string; // short, with white space visible
  text: string;
  token: number;
  depth: number;
  value: number | null; // null: not drafted
  source: string | null; // what proposed it: "draft", "head" ...; null: not drafted, or not told
  x: number; // left edge
  y: number; // middle
  width: number;
}

export interface PlacedLink {
  key: string;
  kind: Kind; // of the node it leads to
  depth: number;
  d: string; // an SVG path
}

export interface TreeLayout {
  nodes: PlacedNode[];
  links: PlacedLink[];
  width: number;
  height: number;
}

export const kNodeHeight = 28;
const kRowHeight = 36;
const kColumnGap = 44;
const kNarrowGap = 20;
const kCharWidth = 7.83; // of the monospaced 13 px font: 0.602 em
const kValueWidth = 36; // "100%" in the smaller font, with its gap
const kPadding = 10;
const kMargin = 14;
const kMaxLabel = 18;

interface Draft {
  key: string;
  parent: string | null;
  kind: Kind;
  text: string;
  token: number;
  value: number | null;
  source: string | null;
}

const kWide = /[\u1100-\u115f\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|\p{Extended_Pictographic}/u;

function labelOf(text: string): string {
  const characters = [...visible(text)];
  if (characters.length <= kMaxLabel) return characters.join('');
  return characters.slice(0, kMaxLabel - 1).join('') + '…';
}

function widthOf(label: string, hasValue: boolean): number {
  let columns = 0;
  for (const c of label) columns += kWide.test(c) ? 2 : 1;
  return Math.max(columns, 1) * kCharWidth + 2 * kPadding + (hasValue ? kValueWidth : 0);
}

// The tree's nodes, and the target's own choice as one more below the end of the path.
function drafts(round: TraceRound): Draft[] {
  const path = new Set(round.path);
  const out: Draft[] = round.nodes.map((node, i) => ({
    key: String(node.id),
    parent: i === 0 ? null : String(node.parent),
    kind: i === 0 ? 'root' : path.has(node.id) ? 'accepted' : 'rejected',
    text: node.text,
    token: node.token,
    value: i === 0 ? null : node.value,
    source: node.source ?? null,
  }));
  const own = round.tokens.findLast((t) => !t.drafted);
  const end = round.path.at(-1) ?? round.nodes[0]?.id;
  if (own && end !== undefined) {
    out.push({
      key: 'own',
      parent: String(end),
      kind: 'own',
      text: own.text,
      token: own.token,
      value: null,
      source: null,
    });
  }
  return out;
}

// isNarrow: for small screens, closer and without the figures, whose bars say the same.
export function layoutRound(round: TraceRound, isNarrow = false): TreeLayout {
  const gap = isNarrow ? kNarrowGap : kColumnGap;
  const nodeWidth = (d: Draft) => widthOf(labelOf(d.text), d.value !== null && !isNarrow);
  const byParent = new Map<string | null, Draft[]>();
  for (const d of drafts(round)) {
    const siblings = byParent.get(d.parent);
    if (siblings) siblings.push(d);
    else byParent.set(d.parent, [d]);
  }
  const top = byParent.get(null)?.[0];
  if (!top) return { nodes: [], links: [], width: 0, height: 0 };
  // The likeliest first, so that the eye finds what the draft believed at the top.
  const root = hierarchy(top, (d) =>
    byParent.get(d.key)?.sort((a, b) => (b.value ?? -1) - (a.value ?? -1)),
  );
  const placed = tree<Draft>()
    .nodeSize([kRowHeight, 1])
    .separation((a, b) => (a.parent === b.parent ? 1 : 1.2))(root);

  const columns: number[] = []; // widths, then left edges
  placed.each((n) => {
    columns[n.depth] = Math.max(columns[n.depth] ?? 0, nodeWidth(n.data));
  });
  let left = kMargin;
  const edges = columns.map((width) => {
    const at = left;
    left += width + gap;
    return at;
  });
  let low = Infinity;
  let high = -Infinity;
  placed.each((n) => {
    low = Math.min(low, n.x);
    high = Math.max(high, n.x);
  });

  const nodes = placed.descendants().map((n): PlacedNode => {
    return {
      ...n.data,
      label: labelOf(n.data.text),
      depth: n.depth,
      x: edges[n.depth]!,
      y: n.x - low + kMargin + kNodeHeight / 2,
      width: nodeWidth(n.data),
    };
  });
  return {
    nodes,
    links: linksOf(nodes),
    width: left - gap + kMargin,
    height: high - low + kNodeHeight + 2 * kMargin,
  };
}

// Grey ones first, so that the path lies above them.
function linksOf(nodes: PlacedNode[]): PlacedLink[] {
  const byKey = new Map(nodes.map((n) => [n.key, n]));
  const draw = linkHorizontal<unknown, [number, number]>();
  const links = nodes.flatMap((n): PlacedLink[] => {
    const parent = n.parent === null ? undefined : byKey.get(n.parent);
    if (!parent) return [];
    const d = draw({ source: [parent.x + parent.width, parent.y], target: [n.x, n.y] }) ?? '';
    return [{ key: n.key, kind: n.kind, depth: n.depth, d: rounded(d) }];
  });
  const rank = (l: PlacedLink) => (l.kind === 'rejected' ? 0 : 1);
  return links.sort((a, b) => rank(a) - rank(b));
}

function rounded(path: string): string {
  return path.replace(/-?\d+\.\d+/g, (n) => String(Math.round(Number(n) * 10) / 10));
}

// The node that an arrow key leads to.
export function neighbour(layout: TreeLayout, from: PlacedNode, key: string): PlacedNode | null {
  const nodes = layout.nodes;
  if (key === 'ArrowLeft') return nodes.find((n) => n.key === from.parent) ?? null;
  if (key === 'ArrowRight') {
    const children = nodes.filter((n) => n.parent === from.key);
    return children.find((n) => n.kind !== 'rejected') ?? children[0] ?? null;
  }
  const column = nodes.filter((n) => n.depth === from.depth).sort((a, b) => a.y - b.y);
  const at = column.indexOf(from) + (key === 'ArrowUp' ? -1 : 1);
  return column[at] ?? null;
}

export function percent(value: number): string {
  if (value > 0 && value < 0.005) return '<1%';
  return `${Math.round(value * 100)}%`;
}

// A round in a sentence: for screen readers, titles and the exported picture.
export function describeRound(round: TraceRound): string {
  const nDrafted = Math.max(0, round.nodes.length - 1);
  const accepted = round.tokens.filter((t) => t.drafted).map((t) => visible(t.text));
  const own = round.tokens.findLast((t) => !t.drafted);
  const parts = [
    nDrafted === 0 ? 'nothing drafted' : `${nDrafted} drafted`,
    accepted.length === 0 ? 'none accepted' : `accepted: ${accepted.join(' ')}`,
  ];
  if (own) parts.push(`the target's own: ${visible(own.text)}`);
  return parts.join('; ');
}
