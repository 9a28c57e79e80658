// What the views share: the server, and the session that Write makes and Watch shows.
import { signal } from '@preact/signals';

import { fetchModel, isOffline, RequestError } from './api/client';
import type { Run } from './session/run';
import type { Session } from './session/session';

export type ServerState = 'connecting' | 'ready' | 'loading' | 'offline';

export const serverState = signal<ServerState>(isOffline ? 'offline' : 'connecting');
export const modelId = signal<string | null>(null);

export const session = signal<Session | null>(null);
export const currentRun = signal<Run | null>(null);

// The round that Watch shows; null: the newest.
export const watchedRound = signal<number | null>(null);
// Read it where drawing is paced: it does not subscribe to the session, whose rounds may come faster
// than anyone can look.
export function shownRound(): number {
  const last = Math.max(0, (session.value?.rounds.length ?? 1) - 1);
  return Math.min(watchedRound.value ?? last, last);
}

export const views = ['write', 'watch', 'race', 'meters'] as const;
export type View = (typeof views)[number];

function viewOf(hash: string): View {
  const name = hash.replace(/^#/, '') as View;
  return views.includes(name) ? name : 'write';
}

export const view = signal<View>(viewOf(location.hash));
addEventListener('hashchange', () => (view.value = viewOf(location.hash)));

export function show(next: View): void {
  location.hash = next;
}

export function openRound(index: number): void {
  watchedRound.value = index;
  show('watch');
}

export async function connect(): Promise<void> {
  if (isOffline) return;
  try {
    modelId.value = await fetchModel();
    serverState.value = 'ready';
  } catch (error) {
    const status = error instanceof RequestError ? error.status : 0;
    // A server that wants a key is there.
    serverState.value = status === 401 ? 'ready' : status === 503 ? 'loading' : 'offline';
    if (status !== 401) setTimeout(() => void connect(), status === 503 ? 1000 : 5000);
  }
}
