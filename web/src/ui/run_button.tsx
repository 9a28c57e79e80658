// The main button of a form that starts something: while it runs, it stops it.
import type { ComponentChildren } from 'preact';
import { serverState } from '../state';
import { prompt } from '../views/form';
import { Icon } from './icons';

interface Props {
  isRunning: boolean;
  onStop: () => void;
  icon: Parameters<typeof Icon>[0]['name'];
  title?: string;
  children: ComponentChildren;
}

export function RunButton({ isRunning, onStop, icon, title, children }: Props) {
  // Keys, since a button that became the other one within a click would do that one's work.
  return isRunning ? (
    <button key="stop" type="button" class="primary stop" onClick={onStop}>
      <Icon name="stop" />
      Stop
    </button>
  ) : (
    <button
      key="start"
      type="submit"
      class="primary"
      disabled={prompt.value.trim() === '' || serverState.value === 'offline'}
      title={title}
    >
      <Icon name={icon} />
      {children}
    </button>
  );
}
