// Write: a prompt, the text as it streams, and next to it the tree it is made of.
import { signal } from '@preact/signals';

import { apiKey } from '../api/client';
import { curlCommand } from '../api/request';
import { currentRun, modelId, openRound, session, view } from '../state';
import { Legend } from '../tree/legend';
import { TreeView } from '../tree/tree_view';
import { copyText } from '../ui/copy';
import { LengthField, MethodField, SamplingFields, SeedField } from '../ui/fields';
import { useThrottled } from '../ui/hooks';
import { Icon } from '../ui/icons';
import { Calls, Thoughts } from '../ui/message';
import { RunButton } from '../ui/run_button';
import { endingOf, SessionStats } from '../ui/stats';
import { TokenText } from '../ui/token_text';
import { endpoint, method, prompt, systemPrompt, toolsText, turns } from './form';
import { checkedRequest, formError, startWriting, stopWriting } from './write_run';

const copied = signal('');

async function copyCurl(): Promise<void> {
  const request = checkedRequest();
  if (request === null) return;
  const command = curlCommand(request, modelId.value, location.origin, apiKey.value !== null);
  copied.value = (await copyText(command)) ? 'Copied.' : 'The browser refused to copy.';
  setTimeout(() => (copied.value = ''), 3000);
}

function EndpointChoice() {
  const choice = (name: 'completion' | 'chat', label: string) => (
    <label class="segment">
      <input
        type="radio"
        name="endpoint"
        checked={endpoint.value === name}
        onChange={() => (endpoint.value = name)}
      />
      <span>{label}</span>
    </label>
  );
  return (
    <fieldset class="segments">
      <legend class="off-screen">Kind of request</legend>
      {choice('completion', 'Completion')}
      {choice('chat', 'Chat')}
    </fieldset>
  );
}

function ChatFields() {
  if (endpoint.value !== 'chat') return null;
  return (
    <div class="row">
      <label class="field grow">
        <span>System message</span>
        <input
          type="text"
          value={systemPrompt.value}
          onInput={(e) => (systemPrompt.value = e.currentTarget.value)}
        />
      </label>
      <button
        type="button"
        disabled={turns.value.length === 0}
        onClick={() => {
          turns.value = [];
          session.value = null;
        }}
      >
        New chat
      </button>
    </div>
  );
}

function ToolsField() {
  if (endpoint.value !== 'chat') return null;
  return (
    <details>
      <summary>Tools</summary>
      <label class="field">
        <span>Tools that an answer may call, as a JSON array; calls are shown, not made</span>
        <textarea
          rows={4}
          spellcheck={false}
          value={toolsText.value}
          onInput={(e) => (toolsText.value = e.currentTarget.value)}
        />
      </label>
    </details>
  );
}

function PromptCard() {
  const isRunning = currentRun.value !== null;
  const isChat = endpoint.value === 'chat';
  return (
    <form
      class="card prompt-card"
      onSubmit={(e) => {
        e.preventDefault();
        startWriting();
      }}
    >
      <EndpointChoice />
      <ChatFields />
      <label class="field">
        <span>{isChat ? 'Your message' : 'Prompt'}</span>
        <textarea
          id="prompt"
          rows={3}
          value={prompt.value}
          onInput={(e) => (prompt.value = e.currentTarget.value)}
          onKeyDown={(e) => {
            if (e.key !== 'Enter' || !(e.ctrlKey || e.metaKey)) return;
            e.preventDefault();
            startWriting();
          }}
        />
      </label>
      <div class="fields main-fields">
        <SeedField />
        <LengthField />
        <MethodField value={method.value} onChange={(m) => (method.value = m)} />
      </div>
      <details>
        <summary>Sampling</summary>
        <SamplingFields />
      </details>
      <ToolsField />
      {formError.value && (
        <p class="error" role="alert">
          {formError.value}
        </p>
      )}
      <div class="row actions">
        <RunButton isRunning={isRunning} onStop={stopWriting} icon="write" title="Ctrl+Enter">
          {isChat ? 'Send' : 'Continue the text'}
        </RunButton>
        <button type="button" onClick={() => void copyCurl()}>
          <Icon name="copy" />
          Copy as curl
        </button>
        <span role="status" class="muted">
          {copied.value}
        </span>
      </div>
    </form>
  );
}

function OutputCard() {
  const s = session.value;
  useThrottled(s?.version, 120);
  const isChat = s?.request.endpoint === 'chat';
  return (
    <section class="card output-card" aria-label="Text">
      <div class="row spread">
        <h2>Text</h2>
        <Legend />
      </div>
      {s && isChat && (
        <ol class="turns" aria-label="The chat so far">
          {s.request.messages
            .filter((m) => m.role !== 'system')
            .map((m, i) => (
              <li key={i} class={m.role}>
                {m.content}
                <Calls calls={m.calls ?? []} />
              </li>
            ))}
        </ol>
      )}
      {s && !isChat && <p class="given">{s.request.prompt}</p>}
      {s && <Thoughts session={s} />}
      {s ? (
        <TokenText
          session={s}
          label="Generated text. Arrow keys go from token to token; Enter shows the tree of a token's round."
          isShown={() => view.value === 'write'}
        />
      ) : (
        <p class="muted placeholder">
          The text appears here, each token in the colour of who wrote it. Point at one to see how sure
          the target was; click it to see the tree of its round.
        </p>
      )}
      {s && <Calls calls={s.calls} />}
      {s?.error && (
        <p class="error" role="alert">
          {s.error}
        </p>
      )}
      <p class="muted ending" role="status">
        {endingOf(s)}
      </p>
      <SessionStats session={s} />
    </section>
  );
}

function TreeCard() {
  const s = session.value;
  useThrottled(s?.version, 150);
  const last = s?.rounds.at(-1);
  return (
    <section class="card tree-card" aria-label="Draft tree">
      <div class="row spread">
        <h2>{last ? `The tree of round ${last.round}` : 'The draft tree'}</h2>
        <button onClick={() => openRound(s?.rounds.length ? s.rounds.length - 1 : 0)}>
          <Icon name="watch" />
          Watch
        </button>
      </div>
      {view.value === 'write' && last ? (
        <TreeView round={last} isCompact />
      ) : (
        <div class="tree-frame compact empty">
          <Icon name="watch" />
          <p class="muted">
            Each round, the draft proposes a tree of tokens, and the target picks its way through.
          </p>
        </div>
      )}
      <NoDraftNote />
    </section>
  );
}

// Small pairs decode plainly: a reader who came for trees should know why, and what to do.
export function NoDraftNote() {
  const s = session.value;
  if (!s || s.rounds.length < 4 || s.request.method === 'ar' || s.nDrafted > 0) return null;
  return (
    <p class="note">
      Nothing was drafted: on this machine and pair, plain decoding is faster, and the planner knows.
      For trees all the same:{' '}
      <button
        class="link"
        onClick={() => {
          method.value = 'gumbel-beam';
          startWriting();
        }}
      >
        try gumbel-beam
      </button>
    </p>
  );
}

export function WriteView() {
  return (
    <div class="write-grid">
      <PromptCard />
      <OutputCard />
      <TreeCard />
    </div>
  );
}
