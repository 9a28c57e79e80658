// Runs a request into a session.
import { keyWanted, streamAnswer } from '../api/client';
import type { GenerationRequest } from '../api/request';
import { modelId } from '../state';
import { Session } from './session';

export interface Run {
  session: Session;
  stop(): void;
  done: Promise<void>;
}

// Once before the next picture; a hidden page draws none, so there a little later.
export function onNextFrame(callback: () => void): void {
  if (document.hidden) setTimeout(callback, 200);
  else requestAnimationFrame(callback);
}

// Calls that come before the next frame become one.
function oncePerFrame(callback: () => void): () => void {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    onNextFrame(() => {
      isAsked = false;
      callback();
    });
  };
}

export function startRun(request: GenerationRequest): Run {
  const session = new Session(request, modelId.value);
  const abort = new AbortController();
  const show = oncePerFrame(() => session.version.value++);
  const receive = async () => {
    try {
      for await (const chunks of streamAnswer(request, modelId.value, abort.signal)) {
        const now = performance.now();
        for (const chunk of chunks) session.apply(chunk, now);
        show();
      }
      session.end('done');
    } catch (error) {
      if (abort.signal.aborted) session.end('stopped');
      else session.end('failed', keyWanted.value ? null : messageOf(error));
    }
    session.version.value++;
  };
  return { session, stop: () => abort.abort(), done: receive() };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
