// Saving and loading sessions, by button and by dropping a file on the page.
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

import { sessionFromJson, sessionToJson } from '../session/file';
import { messageOf } from '../session/run';
import { currentRun, session, show, watchedRound } from '../state';
import { download } from './download';
import { Icon } from './icons';

export const loadError = signal<string | null>(null);

export async function loadFile(file: File): Promise<void> {
  try {
    const loaded = sessionFromJson(await file.text());
    currentRun.value?.stop();
    currentRun.value = null;
    session.value = loaded;
    watchedRound.value = 0;
    loadError.value = null;
  } catch (error) {
    loadError.value = `${file.name}: ${messageOf(error)}`;
  }
  show('watch');
}

export function LoadSession({ isPrimary = false }: { isPrimary?: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        accept=".json,application/json"
        hidden
        aria-hidden="true"
        tabIndex={-1}
        onChange={() => {
          const file = input.current!.files?.[0];
          if (file) void loadFile(file);
          input.current!.value = '';
        }}
      />
      <button class={isPrimary ? 'primary' : ''} onClick={() => input.current!.click()}>
        <Icon name="load" />
        Load session
      </button>
    </>
  );
}

export function SaveSession() {
  const s = session.value;
  return (
    <button
      disabled={!s || s.rounds.length === 0}
      onClick={() =>
        download(`gumbelspec-session-${s!.request.seed}.json`, 'application/json', sessionToJson(s!))
      }
    >
      <Icon name="save" />
      Save session
    </button>
  );
}

export function useFileDrop(): void {
  useEffect(() => {
    const allow = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      const file = event.dataTransfer?.files[0];
      if (!file) return;
      event.preventDefault();
      void loadFile(file);
    };
    addEventListener('dragover', allow);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', allow);
      removeEventListener('drop', drop);
    };
  }, []);
}
