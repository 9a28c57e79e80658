// Which round Watch shows: stepping, following and playing.
import { signal } from '@preact/signals';

import { currentRun, session, shownRound, view, watchedRound } from '../state';

export const speeds = [1, 2, 5, 10, 30]; // rounds a second
export const speed = signal(2);
export const isPlaying = signal(false);

function lastRound(): number {
  return (session.value?.rounds.length ?? 1) - 1;
}

export function showRound(index: number): void {
  watchedRound.value = Math.min(Math.max(0, index), Math.max(0, lastRound()));
}

export function step(by: number): void {
  isPlaying.value = false;
  showRound(shownRound() + by);
}

// The newest round, as long as new ones come.
export function follow(): void {
  isPlaying.value = false;
  watchedRound.value = null;
}

export function togglePlay(): void {
  if (isPlaying.value) {
    isPlaying.value = false;
    return;
  }
  showRound(shownRound() >= lastRound() ? 0 : shownRound());
  isPlaying.value = true;
  play();
}

function play(): void {
  let due = performance.now() + 1000 / speed.value;
  const tick = (now: number) => {
    if (!isPlaying.value || view.value !== 'watch') {
      isPlaying.value = false;
      return;
    }
    if (now >= due) {
      const n = Math.floor(((now - due) * speed.value) / 1000) + 1;
      showRound(shownRound() + n);
      due += (n * 1000) / speed.value;
      if (shownRound() >= lastRound() && !currentRun.value) isPlaying.value = false;
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
