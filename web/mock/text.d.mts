export function chance(...numbers: number[]): number;
export function tokenAt(seed: number, position: number): number;
export function textOf(token: number): string;
export function makeRound(options: {
  seed: number;
  position: number;
  round: number;
  method: string;
  nLeft: number;
}): unknown;
