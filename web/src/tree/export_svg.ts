// A round as a picture of its own: everything that the page's style says is written into it.
import type { TraceRound } from '../api/trace';
import { describeRound, kNodeHeight, layoutRound, percent, type Kind } from './layout';

interface Look {
  fill: string;
  stroke: string;
  ink: string;
  line: number;
  dash?: string;
}

const looks: Record<Kind, Look> = {
  root: { fill: '#f1efe9', stroke: '#5b6169', ink: '#1c1e21', line: 1.5 },
  accepted: { fill: '#0b6e5f', stroke: '#0b6e5f', ink: '#ffffff', line: 3 },
  rejected: { fill: '#ffffff', stroke: '#b9bcc1', ink: '#5b6169', line: 1.25 },
  own: { fill: '#fdeacb', stroke: '#9a4b00', ink: '#6e3600', line: 2, dash: '5 3' },
};

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

export function roundToSvg(round: TraceRound): string {
  const { nodes, links, width, height } = layoutRound(round);
  const w = Math.ceil(width);
  const h = Math.ceil(height);
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" ` +
      `font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13">`,
    `<title>${escaped(`Round ${round.round}: ${describeRound(round)}`)}</title>`,
    `<rect width="${w}" height="${h}" fill="#ffffff"/>`,
  ];
  for (const link of links) {
    const look = looks[link.kind];
    const dash = look.dash ? ` stroke-dasharray="${look.dash}"` : '';
    out.push(
      `<path d="${link.d}" fill="none" stroke="${look.stroke}" stroke-width="${look.line}"${dash}/>`,
    );
  }
  for (const node of nodes) {
    const look = looks[node.kind];
    const dash = look.dash ? ` stroke-dasharray="${look.dash}"` : '';
    const top = node.y - kNodeHeight / 2;
    out.push(
      `<g data-kind="${node.kind}" data-token="${node.token}">` +
        `<title>${escaped(JSON.stringify(node.text))}, token ${node.token}</title>` +
        `<rect x="${fixed(node.x)}" y="${fixed(top)}" width="${fixed(node.width)}" ` +
        `height="${kNodeHeight}" rx="6" fill="${look.fill}" stroke="${look.stroke}" ` +
        `stroke-width="1.25"${dash}/>` +
        `<text x="${fixed(node.x + 10)}" y="${fixed(node.y + 4.5)}" fill="${look.ink}">` +
        `${escaped(node.label)}</text>`,
    );
    if (node.value !== null) {
      out.push(
        `<text x="${fixed(node.x + node.width - 8)}" y="${fixed(node.y + 4)}" fill="${look.ink}" ` +
          `font-size="11" text-anchor="end">${percent(node.value)}</text>`,
      );
    }
    out.push('</g>');
  }
  out.push('</svg>');
  return out.join('\n') + '\n';
}

function fixed(n: number): string {
  return String(Math.round(n * 10) / 10);
}
