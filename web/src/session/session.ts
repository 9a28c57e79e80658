// One answer as it comes: its rounds, tokens and text. Views draw it again when `version` changes,
// which it does at most once a frame, however fast the server is.
import { signal } from '@preact/signals';

import type { Chunk } from '../api/client';
import type { GenerationRequest, ToolCall } from '../api/request';
import { parseRound, type TraceRound, type TraceToken } from '../api/trace';
import { Pieces } from './pieces';

export interface SessionToken extends TraceToken {
  round: number; // index into rounds
}

export interface Timings {
  prompt_n?: number;
  prompt_ms?: number;
  predicted_n?: number;
  predicted_ms?: number;
  predicted_per_second?: number;
  draft_n?: number;
  draft_n_accepted?: number;
}

export interface Summary {
  seed?: number;
  noise_version?: number;
  method?: string;
  tokens_per_pass?: number;
}

interface CallPart {
  index?: number;
  id?: string;
  function?: { name?: string; arguments?: string };
}

interface Delta {
  content?: string | null;
  reasoning_content?: string | null;
  tool_calls?: CallPart[];
}

export type Status = 'running' | 'done' | 'stopped' | 'failed';

export class Session {
  readonly version = signal(0);
  model: string | null;
  readonly rounds: TraceRound[] = [];
  readonly tokens: SessionToken[] = [];
  readonly pieces = new Pieces();
  text = '';
  reasoning = ''; // what the model thought before the text
  readonly calls: ToolCall[] = [];
  status: Status = 'running';
  error: string | null = null;
  finish: string | null = null;
  usage: Record<string, unknown> | null = null;
  timings: Timings | null = null;
  summary: Summary | null = null;
  startedAt = 0; // of the first round, ms
  lastAt = 0;

  constructor(
    readonly request: GenerationRequest,
    model: string | null = null,
  ) {
    this.model = model;
  }

  // A chunk of the stream. Throws: TraceError; Error with what the server reported.
  apply(chunk: Chunk, now: number): void {
    const error = chunk.error as { message?: string } | undefined;
    if (error) throw new Error(error.message ?? 'the server reported an error');
    if (typeof chunk.model === 'string') this.model = chunk.model;
    const choice = (chunk.choices as Record<string, unknown>[] | undefined)?.[0];
    if (choice) this.applyChoice(choice);
    if (chunk.gumbelspec_trace != null) this.addRound(parseRound(chunk.gumbelspec_trace), now);
    if (chunk.usage != null) this.usage = chunk.usage as Record<string, unknown>;
    if (chunk.timings != null) this.timings = chunk.timings as Timings;
    if (chunk.gumbelspec != null) this.summary = chunk.gumbelspec as Summary;
  }

  addRound(round: TraceRound, now = 0): void {
    if (this.rounds.length === 0) this.startedAt = now;
    this.lastAt = now;
    const index = this.rounds.push(round) - 1;
    for (const token of round.tokens) {
      this.tokens.push({ ...token, round: index });
      this.pieces.add(token.text, this.text);
    }
  }

  end(status: Status, error: string | null = null): void {
    this.status = status;
    this.error = error;
    this.pieces.finish(this.text);
  }

  private applyChoice(choice: Record<string, unknown>): void {
    const delta = choice.delta as Delta | undefined;
    const text = delta ? delta.content : choice.text;
    if (typeof text === 'string') this.text += text;
    if (typeof delta?.reasoning_content === 'string') this.reasoning += delta.reasoning_content;
    for (const part of delta?.tool_calls ?? []) this.addCall(part);
    if (typeof choice.finish_reason === 'string') this.finish = choice.finish_reason;
  }

  // A call comes name first, then its arguments in pieces.
  private addCall(part: CallPart): void {
    const index = part.index ?? this.calls.length;
    if (index < 0 || index > this.calls.length) return; // none is left out
    const call = (this.calls[index] ??= { id: '', name: '', arguments: '' });
    call.id += part.id ?? '';
    call.name += part.function?.name ?? '';
    call.arguments += part.function?.arguments ?? '';
  }

  get nDrafted(): number {
    return this.rounds.reduce((n, round) => n + Math.max(0, round.nodes.length - 1), 0);
  }

  get nAccepted(): number {
    return this.tokens.reduce((n, token) => n + (token.drafted ? 1 : 0), 0);
  }

  get tokensPerPass(): number | null {
    if (this.summary?.tokens_per_pass != null) return this.summary.tokens_per_pass;
    return this.rounds.length === 0 ? null : this.tokens.length / this.rounds.length;
  }

  // The server's own figure once it is there; until then what arrived since the first round, which
  // itself took time that is not known.
  get tokensPerSecond(): number | null {
    if (this.timings?.predicted_per_second != null) return this.timings.predicted_per_second;
    const first = this.rounds[0]?.tokens.length ?? 0;
    const seconds = (this.lastAt - this.startedAt) / 1000;
    return seconds > 0 ? (this.tokens.length - first) / seconds : null;
  }
}
