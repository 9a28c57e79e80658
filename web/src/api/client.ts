// The server, as the page sees it: fetch with the key, errors as sentences.
import { signal } from '@preact/signals';

import { readEvents } from './sse';
import { endpointPath, streamingBody, type GenerationRequest } from './request';

const kKeyName = 'gumbelspec-api-key';

export const isOffline = location.protocol === 'file:';

// Kept for this tab only, and not longer.
export const apiKey = signal<string | null>(storedKey());
// Whether the server has asked for a key since the last one was given.
export const keyWanted = signal(false);

function storedKey(): string | null {
  try {
    return sessionStorage.getItem(kKeyName);
  } catch {
    return null; // storage is off; then the key lives as long as the page
  }
}

export function setApiKey(key: string): void {
  apiKey.value = key;
  keyWanted.value = false;
  try {
    sessionStorage.setItem(kKeyName, key);
  } catch {
    // see storedKey()
  }
}

export class RequestError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

// What the server says went wrong, or the status where it says nothing.
async function errorOf(response: Response): Promise<RequestError> {
  let message = `the server answered ${response.status} ${response.statusText}`.trim();
  try {
    const body = (await response.json()) as { error?: { message?: string } };
    if (body.error?.message) message = body.error.message;
  } catch {
    // not JSON
  }
  if (response.status === 401) keyWanted.value = true;
  const wait = response.headers.get('Retry-After');
  if (response.status === 429 && wait) message += `; try again in ${wait} s`;
  return new RequestError(message, response.status);
}

// Addresses are relative to the page's, so that it also works below a proxy's path.
async function send(path: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  // The server takes nothing else from a page.
  if (init.body) headers.set('Content-Type', 'application/json');
  if (apiKey.value) headers.set('Authorization', `Bearer ${apiKey.value}`);
  let response: Response;
  try {
    response = await fetch(`.${path}`, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new RequestError('the server cannot be reached', 0);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

export async function fetchModel(): Promise<string | null> {
  const list = (await (await send('/v1/models', {})).json()) as { data?: { id?: string }[] };
  return list.data?.[0]?.id ?? null;
}

export async function fetchMetrics(signal: AbortSignal): Promise<string> {
  return (await send('/metrics', { signal })).text();
}

export type Chunk = Record<string, unknown>;

// The events of one answer, in the batches that the network delivers. Ends at [DONE].
// Throws: RequestError; what fetch throws when the signal aborts it.
export async function* streamAnswer(
  request: GenerationRequest,
  model: string | null,
  abort: AbortSignal,
): AsyncGenerator<Chunk[]> {
  const response = await send(endpointPath(request), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(streamingBody(request, model)),
    signal: abort,
  });
  if (!response.body) throw new RequestError('the answer has no body', response.status);
  for await (const events of readEvents(response.body)) {
    const end = events.indexOf('[DONE]');
    const data = end < 0 ? events : events.slice(0, end);
    yield data.map((event) => JSON.parse(event) as Chunk);
    if (end >= 0) return;
  }
  throw new RequestError('the connection ended before the answer did', 0);
}
