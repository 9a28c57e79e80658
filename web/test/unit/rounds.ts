// Made-up rounds for tests.
import type { TraceNode, TraceRound, TraceToken } from '../../src/api/trace';

export function node(id: number, parent: number, text: string, value: number, depth = 1): TraceNode {
  return { id, parent, token: 100 + id, text, depth, value };
}

export function token(text: string, drafted: boolean, depth = 0): TraceToken {
  return { token: 7, text, depth, margin: 1.5, drafted, runner_up: { token: 8, text: ' x' } };
}

// root -> " the" (accepted) -> " cat" (accepted) | " dog"; root -> " a"; then the target says "!".
export function sampleRound(round = 3, textStart = 0): TraceRound {
  return {
    round,
    text_start: textStart,
    nodes: [
      node(0, -1, 'x', 1, 0),
      node(1, 0, ' a', 0.2),
      node(2, 0, ' the', 0.6),
      node(3, 2, ' dog', 0.1, 2),
      node(4, 2, ' cat', 0.4, 2),
    ],
    path: [0, 2, 4],
    tokens: [token(' the', true, 0), token(' cat', true, 1), token('!', false, 2)],
    ms: { draft: 1, target: 10, own: 0.5 },
  };
}

export function chunk(text: string, round?: TraceRound): Record<string, unknown> {
  return {
    model: 'demo',
    choices: [{ index: 0, text, finish_reason: null }],
    ...(round ? { gumbelspec_trace: round } : {}),
  };
}
