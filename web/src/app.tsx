// The frame: who answers, the four views, light and dark.
import type { ComponentChild } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { modelId, serverState, session, show, view, views, type View } from './state';
import { cycleTheme, theme } from './ui/theme';
import { Icon } from './ui/icons';
import { KeyDialog } from './ui/key_dialog';
import { useFileDrop } from './ui/session_files';
import { MetersView } from './views/meters';
import { RaceView } from './views/race';
import { WatchView } from './views/watch';
import { WriteView } from './views/write';

const labels: Record<View, string> = {
  write: 'Write',
  watch: 'Watch the tree',
  race: 'Race',
  meters: 'Meters',
};
const shortLabels: Record<View, string> = { ...labels, watch: 'Watch' };

function ServerNote() {
  const state = serverState.value;
  const text = {
    connecting: 'connecting …',
    loading: 'the model is loading …',
    offline: 'no server',
    ready: modelId.value ?? 'connected',
  }[state];
  return (
    <span class={`server-note ${state}`} title={text}>
      <span class="dot" aria-hidden="true" />
      <span class="server-name">{text}</span>
    </span>
  );
}

// Every view stays as it was while another is looked at; hidden ones draw nothing.
function Pane({ name, children }: { name: View; children: ComponentChild }) {
  const isShown = view.value === name;
  return (
    <section class="view" hidden={!isShown} aria-label={labels[name]}>
      {children}
    </section>
  );
}

export function App() {
  const main = useRef<HTMLElement>(null);
  useFileDrop();
  useEffect(() => {
    document.title = `${labels[view.value]} · GumbelSpec`;
  }, [view.value]);
  useEffect(() => {
    // Without a server there is only one thing to do.
    if (serverState.value === 'offline' && !session.value && !location.hash) show('watch');
  }, [serverState.value]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <header class="top">
        <h1 class="brand">
          <img src="./icon.svg" alt="" width="28" height="28" />
          <span>GumbelSpec</span>
        </h1>
        <nav aria-label="Views">
          {views.map((name) => (
            <a
              key={name}
              href={`#${name}`}
              class="tab"
              aria-label={labels[name]}
              aria-current={view.value === name ? 'page' : undefined}
            >
              <Icon name={name} />
              <span class="long">{labels[name]}</span>
              <span class="short">{shortLabels[name]}</span>
            </a>
          ))}
        </nav>
        <ServerNote />
        <button class="quiet icon-only theme" onClick={cycleTheme} aria-label={`Theme: ${theme.value}`}>
          <Icon name={theme.value} />
        </button>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <Pane name="write">
          <WriteView />
        </Pane>
        <Pane name="watch">
          <WatchView />
        </Pane>
        <Pane name="race">
          <RaceView />
        </Pane>
        <Pane name="meters">
          <MetersView />
        </Pane>
      </main>
      <KeyDialog />
    </>
  );
}
