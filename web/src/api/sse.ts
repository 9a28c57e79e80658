// Server-sent events out of a byte stream that is cut anywhere.

// Feed it decoded text; it returns the data of each event that is complete.
export class SseParser {
  private rest = '';
  private data: string[] = [];

  push(text: string): string[] {
    const events: string[] = [];
    const buffer = this.rest + text;
    let start = 0;
    for (;;) {
      const end = lineEnd(buffer, start);
      if (end === null) break;
      const event = this.line(buffer.slice(start, end.at));
      if (event !== null) events.push(event);
      start = end.next;
    }
    this.rest = buffer.slice(start);
    return events;
  }

  private line(line: string): string | null {
    if (line === '') {
      if (this.data.length === 0) return null;
      const event = this.data.join('\n');
      this.data = [];
      return event;
    }
    if (line.startsWith('data:')) this.data.push(line.slice(line[5] === ' ' ? 6 : 5));
    return null; // comments and the fields that this stream does not use
  }
}

function lineEnd(text: string, from: number): { at: number; next: number } | null {
  for (let i = from; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 10) return { at: i, next: i + 1 };
    if (c !== 13) continue;
    // A return at the very end may be the first half of a pair.
    if (i + 1 === text.length) return null;
    return { at: i, next: text.charCodeAt(i + 1) === 10 ? i + 2 : i + 1 };
  }
  return null;
}

// The data of every event of a response's body, until it ends or the reader stops asking.
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<string[]> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = parser.push(decoder.decode(value, { stream: true }));
      if (events.length > 0) yield events;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
