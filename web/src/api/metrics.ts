// The server's /metrics: Prometheus's text format, as far as the page uses it.

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

export type Metrics = Map<string, Sample[]>;

const kLine = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const kLabel = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

function parseValue(text: string): number {
  if (text === '+Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  return Number(text);
}

export function parseMetrics(text: string): Metrics {
  const metrics: Metrics = new Map();
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    const match = kLine.exec(line);
    if (!match) continue;
    const [, name = '', labelText = '', value = ''] = match;
    const labels: Record<string, string> = {};
    for (const [, key = '', raw = ''] of labelText.matchAll(kLabel)) {
      labels[key] = raw.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
    }
    const samples = metrics.get(name) ?? [];
    samples.push({ labels, value: parseValue(value) });
    metrics.set(name, samples);
  }
  return metrics;
}

// The sum over a metric's labels, or over those that match; null where the server has no such one.
export function total(
  metrics: Metrics,
  name: string,
  labels: Record<string, string> = {},
): number | null {
  const samples = metrics
    .get(name)
    ?.filter((s) => Object.entries(labels).every(([key, value]) => s.labels[key] === value));
  if (!samples || samples.length === 0) return null;
  return samples.reduce((sum, s) => sum + s.value, 0);
}

export function byLabel(metrics: Metrics, name: string, label: string): Map<string, number> {
  const out = new Map<string, number>();
  for (const s of metrics.get(name) ?? []) {
    const key = s.labels[label];
    if (key !== undefined) out.set(key, (out.get(key) ?? 0) + s.value);
  }
  return out;
}
