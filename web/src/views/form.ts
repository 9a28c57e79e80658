// What the user asks for; Write and Race share prompt, seed and sampling.
import { signal } from '@preact/signals';

import {
  defaultSampling,
  methods,
  type GenerationRequest,
  type Message,
  type Sampling,
} from '../api/request';

export const prompt = signal('The old house');
export const endpoint = signal<'completion' | 'chat'>('completion');
export const systemPrompt = signal('');
export const toolsText = signal(''); // JSON: an array of tools
export const turns = signal<Message[]>([]); // of the chat so far, without the running answer
export const sampling = signal<Sampling>({ ...defaultSampling });
export const method = signal(methods[0]!.name);

export function setSampling(change: Partial<Sampling>): void {
  sampling.value = { ...sampling.value, ...change };
}

// Below 2^32: exact in every language's numbers, and short enough to say aloud.
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

export function completionRequest(withMethod: string): GenerationRequest {
  return {
    endpoint: 'completion',
    prompt: prompt.value,
    messages: [],
    method: withMethod,
    ...sampling.value,
  };
}

// Throws: Error in one line.
export function toolsOf(json: string): unknown[] {
  if (json.trim() === '') return [];
  let tools: unknown;
  try {
    tools = JSON.parse(json);
  } catch {
    throw new Error('The tools are not JSON.');
  }
  if (!Array.isArray(tools)) throw new Error('The tools are not an array.');
  return tools;
}

// Throws: as toolsOf().
export function chatRequest(): GenerationRequest {
  const system: Message[] =
    systemPrompt.value.trim() === '' ? [] : [{ role: 'system', content: systemPrompt.value }];
  return {
    ...completionRequest(method.value),
    endpoint: 'chat',
    prompt: '',
    tools: toolsOf(toolsText.value),
    messages: [...system, ...turns.value, { role: 'user', content: prompt.value }],
  };
}

// Throws: as toolsOf().
export function currentRequest(): GenerationRequest {
  return endpoint.value === 'chat' ? chatRequest() : completionRequest(method.value);
}
