// A session as a file that opens without a server: JSON, one object. Never the key.
import { methods, type GenerationRequest, type Message, type ToolCall } from '../api/request';
import { parseRound, TraceError } from '../api/trace';
import { Session, type Summary, type Timings } from './session';

export const kFormat = 'gumbelspec-session';
export const kVersion = 1;
const kMaxBytes = 256 << 20;

export function sessionToJson(session: Session, saved = new Date()): string {
  return JSON.stringify({
    format: kFormat,
    version: kVersion,
    saved: saved.toISOString(),
    model: session.model,
    request: session.request,
    text: session.text,
    reasoning: session.reasoning,
    tool_calls: session.calls,
    finish_reason: session.finish,
    usage: session.usage,
    timings: session.timings,
    gumbelspec: session.summary,
    rounds: session.rounds,
  });
}

function callsOf(value: unknown): ToolCall[] {
  if (!Array.isArray(value)) return [];
  return (value as ToolCall[]).filter((call) =>
    [call?.id, call?.name, call?.arguments].every((part) => typeof part === 'string'),
  );
}

function messagesOf(value: unknown): Message[] {
  if (!Array.isArray(value)) return [];
  return (value as Message[]).filter(
    (m) => typeof m?.role === 'string' && typeof m?.content === 'string',
  );
}

function requestOf(value: unknown): GenerationRequest {
  const f = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const number = (key: string, fallback: number) => {
    const v = f[key];
    return typeof v === 'number' && Number.isFinite(v) ? v : fallback;
  };
  return {
    endpoint: f.endpoint === 'chat' ? 'chat' : 'completion',
    prompt: typeof f.prompt === 'string' ? f.prompt : '',
    messages: messagesOf(f.messages),
    method: typeof f.method === 'string' ? f.method : methods[0]!.name,
    seed: number('seed', 0),
    temperature: number('temperature', 1),
    top_p: number('top_p', 1),
    top_k: number('top_k', 0),
    min_p: number('min_p', 0),
    max_tokens: number('max_tokens', 0),
  };
}

// Throws: TraceError with what is wrong with the file.
export function sessionFromJson(json: string): Session {
  if (json.length > kMaxBytes) throw new TraceError('the file is larger than 256 MiB');
  let file: Record<string, unknown>;
  try {
    file = JSON.parse(json) as Record<string, unknown>;
  } catch {
    throw new TraceError('the file is not JSON');
  }
  if (file === null || typeof file !== 'object' || file.format !== kFormat) {
    throw new TraceError(`the file is not a saved session: "format" must be "${kFormat}"`);
  }
  if (file.version !== kVersion) {
    throw new TraceError(`the session has version ${String(file.version)}; this page reads ${kVersion}`);
  }
  if (!Array.isArray(file.rounds)) throw new TraceError('rounds: must be an array');
  const session = new Session(
    requestOf(file.request),
    typeof file.model === 'string' ? file.model : null,
  );
  session.text = typeof file.text === 'string' ? file.text : '';
  session.reasoning = typeof file.reasoning === 'string' ? file.reasoning : '';
  session.calls.push(...callsOf(file.tool_calls));
  file.rounds.forEach((round, i) => session.addRound(parseRound(round, `rounds[${i}]`)));
  session.finish = typeof file.finish_reason === 'string' ? file.finish_reason : null;
  session.usage = (file.usage ?? null) as Record<string, unknown> | null;
  session.timings = (file.timings ?? null) as Timings | null;
  session.summary = (file.gumbelspec ?? null) as Summary | null;
  session.end('done');
  return session;
}
