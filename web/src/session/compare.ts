// Where two texts part.

export interface Comparison {
  isIdentical: boolean;
  at: number; // characters that they share
}

// Of two whole texts; a difference is never placed within a character.
export function compareTexts(a: string, b: string): Comparison {
  const n = Math.min(a.length, b.length);
  let at = 0;
  while (at < n && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  const isIdentical = at === a.length && at === b.length;
  const last = a.charCodeAt(at - 1);
  if (!isIdentical && at > 0 && last >= 0xd800 && last <= 0xdbff) at--;
  return { isIdentical, at };
}
