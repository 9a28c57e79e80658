// The figures of a session, as they come.
import type { Session } from '../session/session';
import { useThrottled } from './hooks';

export function number(value: number | null | undefined, digits: number): string {
  return value == null || !Number.isFinite(value) ? '–' : value.toFixed(digits);
}

function Stat({ label, value, unit }: { label: string; value: string; unit?: string }) {
  return (
    <div class="stat">
      <dt>{label}</dt>
      <dd>
        {value}
        {unit && <span class="unit"> {unit}</span>}
      </dd>
    </div>
  );
}

export function SessionStats({ session }: { session: Session | null }) {
  useThrottled(session?.version, 120);
  const tokens = session?.tokens.length ?? 0;
  const accepted = session?.nAccepted ?? 0;
  return (
    <dl class="stats">
      <Stat label="Speed" value={number(session?.tokensPerSecond, 1)} unit="tokens/s" />
      <Stat label="Tokens per pass" value={number(session?.tokensPerPass, 2)} />
      <Stat
        label="Drafted and accepted"
        value={tokens === 0 ? '–' : `${Math.round((100 * accepted) / tokens)}`}
        unit={tokens === 0 ? '' : '% of the text'}
      />
      <Stat label="Tokens" value={String(tokens)} />
    </dl>
  );
}

const endings: Record<string, string> = {
  stop: 'The model ended the text.',
  length: 'Stopped at the number of tokens asked for.',
};

// How it ended, in words; empty while it runs.
export function endingOf(session: Session | null): string {
  if (!session || session.status === 'running') return '';
  if (session.status === 'stopped') return 'Stopped.';
  if (session.status === 'failed') return '';
  const seed = session.summary?.seed ?? session.request.seed;
  return `${endings[session.finish ?? ''] ?? 'Done.'} Seed ${seed}.`;
}
