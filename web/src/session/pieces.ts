// Which part of the text each token wrote. A token can end within a character: then its text is not
// the answer's, and the character goes to the first of the tokens that wrote it.

const kBroken = '\uFFFD';

export class Pieces {
  readonly shown: string[] = []; // per token
  cursor = 0; // characters of the text that tokens account for
  private pending = -1; // the first token of a character that is not whole yet

  // Appends a token, given the answer's text as far as it is known.
  add(token: string, text: string): void {
    const index = this.shown.length;
    if (this.pending < 0) {
      if (text.startsWith(token, this.cursor) && !token.includes(kBroken)) {
        this.shown.push(token);
        this.cursor += token.length;
        return;
      }
      this.shown.push('');
      if (token !== '') this.pending = index;
      this.resolve(token, text);
      return;
    }
    this.shown.push('');
    this.resolve(token, text);
  }

  // What is left of the text belongs to the token that was waiting for it.
  finish(text: string): void {
    if (this.pending < 0) return;
    this.shown[this.pending] += text.slice(this.cursor);
    this.cursor = text.length;
    this.pending = -1;
  }

  // A whole token after broken ones: what stands between belongs to the first of them.
  private resolve(token: string, text: string): void {
    if (token === '' || token.includes(kBroken)) return;
    const at = text.indexOf(token, this.cursor);
    if (at < 0) return;
    const last = this.shown.length - 1;
    if (this.pending !== last) {
      this.shown[this.pending] += text.slice(this.cursor, at);
    } else if (at > this.cursor) {
      return; // not where it should be: the text is not there yet
    }
    this.shown[last] = token;
    this.cursor = at + token.length;
    this.pending = -1;
  }
}

// A token's text with its white space visible, for trees and lists.
export function visible(text: string): string {
  if (text === '') return '∅';
  return text
    .replaceAll('\r\n', '↵')
    .replaceAll('\n', '↵')
    .replaceAll('\r', '↵')
    .replaceAll('\t', '⇥')
    .replace(/^ +| +$/g, (spaces) => '␣'.repeat(spaces.length))
    .replace(/[\u0000-\u001f\u007f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, '·');
}
