import { expect, test } from 'vitest';

import { readEvents, SseParser } from '../../src/api/sse';

const stream = 'data: {"a":1}\n\n: comment\n\ndata: two\ndata: lines\n\r\nevent: x\r\ndata:[DONE]\r\n\r\n';
const events = ['{"a":1}', 'two\nlines', '[DONE]'];

test('events are the same wherever the stream is cut', () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    const parser = new SseParser();
    const got = [...parser.push(stream.slice(0, cut)), ...parser.push(stream.slice(cut))];
    expect(got, `cut at ${cut}`).toEqual(events);
  }
});

test('events are the same character by character', () => {
  const parser = new SseParser();
  expect([...stream].flatMap((c) => parser.push(c))).toEqual(events);
});

test('an event that is not complete is not given out', () => {
  expect(new SseParser().push('data: half\n')).toEqual([]);
});

test('characters may be cut in the middle of their bytes', async () => {
  const bytes = new TextEncoder().encode('data: 東京 🦔\n\n');
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  const got: string[] = [];
  for await (const batch of readEvents(body)) got.push(...batch);
  expect(got).toEqual(['東京 🦔']);
});
