// Starting and stopping what Write shows.
import { signal } from '@preact/signals';

import type { GenerationRequest } from '../api/request';
import { messageOf, startRun } from '../session/run';
import { currentRun, session, watchedRound } from '../state';
import { currentRequest, endpoint, prompt, turns } from './form';

export const formError = signal(''); // what is wrong with what is asked for

// What the form asks for; null: formError says why not.
export function checkedRequest(): GenerationRequest | null {
  formError.value = '';
  try {
    return currentRequest();
  } catch (error) {
    formError.value = messageOf(error);
    return null;
  }
}

export function startWriting(): void {
  const request = checkedRequest();
  if (request === null) return;
  currentRun.value?.stop();
  const run = startRun(request);
  session.value = run.session;
  currentRun.value = run;
  watchedRound.value = null;
  if (endpoint.value === 'chat') prompt.value = '';
  void run.done.then(() => {
    if (currentRun.value === run) currentRun.value = null;
    if (request.endpoint !== 'chat' || session.value !== run.session) return;
    if (run.session.status === 'failed') {
      prompt.value = request.messages.at(-1)?.content ?? '';
      return;
    }
    turns.value = [
      ...request.messages.filter((m) => m.role !== 'system'),
      { role: 'assistant', content: run.session.text, calls: run.session.calls },
    ];
  });
}

export function stopWriting(): void {
  currentRun.value?.stop();
}
