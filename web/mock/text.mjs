// A made-up text that depends on the seed alone, and made-up trees around it: what a page needs to
// be developed without a model. Nothing here is a measurement.
const words = (
  ' the| old| house| stood| at| the| end| of| the| lane|,| and| nobody| had| lived| in| it| since|' +
  ' her| aunt| went| away| to| sea|.|\n| It| was| said| that| a| light| burned| there| every| night|;|' +
  ' but| who| would| go| and| look|?| She| would|,| she| thought| —| tomorrow|,| perhaps|,| or| when|' +
  ' the| snow| melted| from| its| roof|.| naïve| 東京| café'
).split('|');

// A small hash of numbers to [0, 1).
export function chance(...numbers) {
  let h = 2166136261;
  for (const n of numbers) {
    h = Math.imul(h ^ (n & 0xffffffff), 16777619);
    h = Math.imul(h ^ (h >>> 13), 0x5bd1e995);
  }
  return ((h ^ (h >>> 15)) >>> 0) / 4294967296;
}

export function tokenAt(seed, position) {
  return Math.floor(chance(seed, position, 1) * words.length);
}

export const textOf = (token) => words[token];

function shapeOf(method) {
  const number = (name, fallback) => Number(new RegExp(`${name}=(\\d+)`).exec(method)?.[1] ?? fallback);
  if (method.startsWith('ar')) return { width: 0, length: 0 };
  if (/chain/.test(method)) return { width: 1, length: number('length', 4) };
  return { width: number('width', 4), length: number('length', 4) };
}

// One round from a position on: its tree, the path through it, the tokens it brings.
export function makeRound({ seed, position, round, method, nLeft }) {
  const { width, length } = shapeOf(method);
  const root = { id: 0, parent: -1, depth: 0, value: 1, token: tokenAt(seed, position - 1) };
  const nodes = [root];
  const path = [0];
  let level = [root];
  for (let depth = 1; depth <= length && nodes.length < 250; depth++) {
    const next = [];
    for (const parent of level) {
      const onPath = path.at(-1) === parent.id && path.length === depth;
      const right = tokenAt(seed, position + depth - 1);
      const hit = onPath && chance(seed, position, depth, 2) < 0.72 ** (1 / 1);
      const n = depth === 1 ? width : Math.max(width === 1 ? 1 : 0, Math.round(width * chance(seed, round, parent.id, 3) * 0.7));
      let share = parent.value;
      const taken = new Set([right]);
      for (let i = 0; i < Math.max(n, hit ? 1 : 0); i++) {
        let token = Math.floor(chance(seed, round, parent.id, i, 4) * words.length);
        if (i === 0 && hit) token = right;
        else if (taken.has(token)) continue;
        taken.add(token);
        share *= 0.35 + 0.5 * chance(seed, round, parent.id, i, 5);
        const node = { id: nodes.length, parent: parent.id, token, depth, value: share };
        nodes.push(node);
        next.push(node);
        if (i === 0 && hit) path.push(node.id);
        share = parent.value - share > 0 ? (parent.value - share) * 0.8 : share * 0.5;
      }
    }
    level = next.sort((a, b) => b.value - a.value).slice(0, Math.max(1, width));
    if (!level.some((n) => n.id === path.at(-1)) && path.length > depth) {
      level.push(nodes[path.at(-1)]);
    }
  }
  const n = Math.min(nLeft, path.length);
  const tokens = [];
  for (let i = 0; i < n; i++) {
    const token = tokenAt(seed, position + i);
    const other = Math.floor(chance(seed, position + i, 6) * words.length);
    tokens.push({
      token,
      text: textOf(token),
      depth: i,
      margin: chance(seed, position + i, 7) < 0.02 ? null : Math.round(4000 * chance(seed, position + i, 8) ** 2) / 1000,
      drafted: i < path.length - 1,
      runner_up: { token: other, text: textOf(other) },
    });
  }
  return {
    round,
    text_start: position,
    nodes: nodes.map((x) => ({ ...x, text: textOf(x.token), value: Math.round(x.value * 1e4) / 1e4 })),
    path: path.slice(0, n + 1),
    tokens,
    ms: { draft: width === 0 ? 0 : 1.1 * length, target: 11 + nodes.length * 0.1, own: 0.3 },
  };
}
