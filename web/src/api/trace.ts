// What a streaming answer carries besides its text when "gumbelspec_trace" is on: one round a chunk.
// The same objects are what a session file keeps.

export interface TraceNode {
  id: number;
  parent: number; // -1: the root
  token: number;
  text: string;
  depth: number;
  value: number; // estimated chance that the target's text goes through it
  source?: string; // what proposed it first: "draft", "head", "suffix" ...; not of the root
}

export interface TraceToken {
  token: number;
  text: string;
  depth: number; // of the node from whose logits it was chosen: one less than its own
  margin: number | null; // best minus second-best score; null: nothing else could be said
  drafted: boolean; // drafted and accepted, or the target's own
  runner_up: { token: number; text: string } | null;
}

export interface TraceTimes {
  draft: number;
  target: number;
  own: number;
}

export interface TraceRound {
  round: number;
  text_start: number; // tokens generated before it
  nodes: TraceNode[];
  path: number[]; // accepted nodes, the root first
  tokens: TraceToken[];
  ms: TraceTimes;
}

export class TraceError extends Error {}

function fail(where: string, what: string): never {
  throw new TraceError(`${where}: ${what}`);
}

type Fields = Record<string, unknown>;

function fields(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    fail(where, 'must be an object');
  }
  return value as Fields;
}

function list(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) fail(where, 'must be an array');
  return value;
}

function number(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) fail(where, 'must be a number');
  return value;
}

function text(value: unknown, where: string): string {
  if (typeof value !== 'string') fail(where, 'must be a string');
  return value;
}

function node(value: unknown, where: string): TraceNode {
  const f = fields(value, where);
  return {
    ...(f.source == null ? {} : { source: text(f.source, `${where}.source`) }),
    id: number(f.id, `${where}.id`),
    parent: number(f.parent, `${where}.parent`),
    token: number(f.token, `${where}.token`),
    text: text(f.text, `${where}.text`),
    depth: number(f.depth, `${where}.depth`),
    value: number(f.value, `${where}.value`),
  };
}

function token(value: unknown, where: string): TraceToken {
  const f = fields(value, where);
  const other = f.runner_up == null ? null : fields(f.runner_up, `${where}.runner_up`);
  return {
    token: number(f.token, `${where}.token`),
    text: text(f.text, `${where}.text`),
    depth: number(f.depth, `${where}.depth`),
    margin: f.margin == null ? null : number(f.margin, `${where}.margin`),
    drafted: f.drafted === true,
    runner_up: other && {
      token: number(other.token, `${where}.runner_up.token`),
      text: text(other.text, `${where}.runner_up.text`),
    },
  };
}

// Node ids are distinct, parents come before their children, and the path runs down the tree: what
// the layout relies on.
function checkTree(round: TraceRound, where: string): void {
  const seen = new Set<number>();
  round.nodes.forEach((n, i) => {
    if (seen.has(n.id)) fail(`${where}.nodes[${i}].id`, 'is there twice');
    if (i === 0 ? n.parent >= 0 : !seen.has(n.parent)) {
      fail(`${where}.nodes[${i}].parent`, 'must be a node before it, and -1 for the first');
    }
    seen.add(n.id);
  });
  const parents = new Map(round.nodes.map((n) => [n.id, n.parent]));
  round.path.forEach((id, i) => {
    const parent = i === 0 ? -1 : round.path[i - 1];
    if ((parents.get(id) ?? NaN) !== parent) fail(`${where}.path[${i}]`, 'is not below the last');
  });
}

// Throws: TraceError, which names the field.
export function parseRound(value: unknown, where = 'gumbelspec_trace'): TraceRound {
  const f = fields(value, where);
  const ms = fields(f.ms ?? { draft: 0, target: 0, own: 0 }, `${where}.ms`);
  const round: TraceRound = {
    round: number(f.round, `${where}.round`),
    text_start: number(f.text_start, `${where}.text_start`),
    nodes: list(f.nodes, `${where}.nodes`).map((n, i) => node(n, `${where}.nodes[${i}]`)),
    path: list(f.path, `${where}.path`).map((id, i) => number(id, `${where}.path[${i}]`)),
    tokens: list(f.tokens, `${where}.tokens`).map((t, i) => token(t, `${where}.tokens[${i}]`)),
    ms: {
      draft: number(ms.draft, `${where}.ms.draft`),
      target: number(ms.target, `${where}.ms.target`),
      own: number(ms.own, `${where}.ms.own`),
    },
  };
  checkTree(round, where);
  return round;
}
