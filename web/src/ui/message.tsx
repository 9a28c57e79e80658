// What an answer has besides its text: thoughts, folded, and calls of tools, which nobody makes.
import type { ToolCall } from '../api/request';
import type { Session } from '../session/session';

// JSON by its lines; what is not whole yet stays as it came.
function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

export function Thoughts({ session }: { session: Session }) {
  if (session.reasoning === '') return null;
  const isThinking = session.status === 'running' && session.text === '' && session.calls.length === 0;
  const n = session.reasoning.trim().split(/\s+/).length;
  return (
    <details class="thoughts">
      <summary>{isThinking ? 'Thinking…' : `Thought (${n} ${n === 1 ? 'word' : 'words'})`}</summary>
      <p>{session.reasoning}</p>
    </details>
  );
}

export function Calls({ calls }: { calls: readonly ToolCall[] }) {
  if (calls.length === 0) return null;
  return (
    <ul class="calls" aria-label="Tool calls">
      {calls.map((call, i) => (
        <li key={i}>
          <p>
            Calls <code>{call.name}</code> <span class="muted">(shown, not made)</span>
          </p>
          <pre>{indented(call.arguments)}</pre>
        </li>
      ))}
    </ul>
  );
}
