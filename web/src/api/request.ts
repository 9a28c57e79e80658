// What the page asks the server for.

export interface Sampling {
  seed: number;
  temperature: number;
  top_p: number;
  top_k: number;
  min_p: number;
  max_tokens: number;
}

// A call that an answer asks for. The page shows it; nothing is called.
export interface ToolCall {
  id: string;
  name: string;
  arguments: string; // JSON, as far as it has come
}

export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
  calls?: ToolCall[]; // of an assistant
}

export interface GenerationRequest extends Sampling {
  endpoint: 'completion' | 'chat';
  prompt: string; // of a completion
  messages: Message[]; // of a chat
  tools?: unknown[]; // likewise, as the server reads them
  method: string;
}

// The program's own default is the model's distribution: temperature 1, nothing cut off.
export const defaultSampling: Sampling = {
  seed: 7,
  temperature: 0.7, // where people sample, and where a small model reads like prose
  top_p: 0.95,
  top_k: 0,
  min_p: 0,
  max_tokens: 200,
};

export const methods: { name: string; about: string }[] = [
  { name: 'gumbel-tree', about: 'planned tree' },
  { name: 'gumbel-beam', about: 'beam of fixed shape' },
  { name: 'gumbel-beam:width=4,length=5', about: 'wider beam' },
  { name: 'gumbel-chain', about: 'one chain' },
  { name: 'greedy-chain', about: "the draft's likeliest chain" },
  { name: 'ar', about: 'plain decoding' },
];

export function endpointPath(request: GenerationRequest): string {
  return request.endpoint === 'chat' ? '/v1/chat/completions' : '/v1/completions';
}

function messageBody({ role, content, calls }: Message) {
  if (!calls?.length) return { role, content };
  return {
    role,
    content,
    tool_calls: calls.map((call) => ({
      type: 'function',
      id: call.id,
      function: { name: call.name, arguments: call.arguments },
    })),
  };
}

// Options that do nothing are left out, so that the request reads like one written by hand.
export function requestBody(request: GenerationRequest, model: string | null) {
  const body: Record<string, unknown> = {};
  if (model !== null) body.model = model;
  if (request.endpoint === 'chat') {
    body.messages = request.messages.map(messageBody);
    if (request.tools?.length) body.tools = request.tools;
  } else body.prompt = request.prompt;
  body.max_tokens = request.max_tokens;
  body.seed = request.seed;
  body.temperature = request.temperature;
  if (request.top_p < 1) body.top_p = request.top_p;
  if (request.top_k > 0) body.top_k = request.top_k;
  if (request.min_p > 0) body.min_p = request.min_p;
  body.method = request.method;
  return body;
}

export function streamingBody(request: GenerationRequest, model: string | null) {
  return {
    ...requestBody(request, model),
    stream: true,
    stream_options: { include_usage: true },
    gumbelspec_trace: true,
  };
}

// For a POSIX shell: single quotes keep everything but themselves.
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

// The key is never a part of it: what is copied gets pasted.
export function curlCommand(
  request: GenerationRequest,
  model: string | null,
  origin: string,
  needsKey: boolean,
): string {
  const lines = [
    `curl -N ${quoted(origin + endpointPath(request))}`,
    `-H 'Content-Type: application/json'`,
  ];
  if (needsKey) lines.push('-H "Authorization: Bearer $GUMBELSPEC_API_KEY"');
  lines.push(`-d ${quoted(JSON.stringify({ ...requestBody(request, model), stream: true }))}`);
  return lines.join(' \\\n  ');
}
