// Starting and stopping what Write shows.
import { startRun } from '../session/run';
import { currentRun, session, watchedRound } from '../state';
import { currentRequest, endpoint, prompt, turns } from './form';

export function startWriting(): void {
  currentRun.value?.stop();
  const request = currentRequest();
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
      { role: 'assistant', content: run.session.text },
    ];
  });
}

export function stopWriting(): void {
  currentRun.value?.stop();
}
