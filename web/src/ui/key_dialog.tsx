// Asks for the server's key when it wants one.
import { useEffect, useRef } from 'preact/hooks';

import { keyWanted, setApiKey } from '../api/client';
import { connect } from '../state';

export function KeyDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const isWanted = keyWanted.value;
  useEffect(() => {
    if (isWanted && !dialog.current!.open) dialog.current!.showModal();
    if (!isWanted) dialog.current!.close();
  }, [isWanted]);
  return (
    <dialog ref={dialog} class="card" aria-labelledby="key-title" onClose={() => (keyWanted.value = false)}>
      <form
        method="dialog"
        onSubmit={() => {
          const key = input.current!.value.trim();
          if (key === '') return;
          setApiKey(key);
          input.current!.value = '';
          void connect();
        }}
      >
        <h2 id="key-title">This server wants a key</h2>
        <p class="muted">It is kept in this tab until you close it.</p>
        <label class="field">
          <span>API key</span>
          <input ref={input} type="password" autocomplete="off" required />
        </label>
        <div class="row end">
          <button type="button" class="quiet" onClick={() => dialog.current!.close()}>
            Cancel
          </button>
          <button type="submit" class="primary">
            Use this key
          </button>
        </div>
      </form>
    </dialog>
  );
}
