// A round's tree on the page: fitted, zoomable, and walked with the arrow keys.
import { select } from 'd3-selection';
import { zoom, zoomIdentity, type ZoomBehavior, type ZoomTransform } from 'd3-zoom';
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';

import type { TraceRound } from '../api/trace';
import { useSize } from '../ui/hooks';
import { Icon } from '../ui/icons';
import {
  describeRound,
  kNodeHeight,
  layoutRound,
  neighbour,
  percent,
  type PlacedNode,
  type TreeLayout,
} from './layout';

const kMinScale = 0.2;
const kMinFit = 0.55; // smaller is not readable; then a part is shown
const kMaxFit = 1.6;
const kNarrow = 400; // CSS pixels

type ZoomedElement = SVGSVGElement & { __zoom: ZoomTransform };

const kindNames = {
  root: 'root: the last token of the text so far',
  accepted: 'drafted, accepted',
  rejected: 'drafted, rejected',
  own: "the target's own choice: here it left the tree",
};

const sourceNames: Record<string, string> = {
  draft: 'the draft model',
  head: "the target's draft head",
  suffix: 'the text so far',
  recycled: 'what the target said before',
  grammar: "the grammar's only choice",
};

export function describeNode(node: PlacedNode): string {
  const value = node.value === null ? '' : ` ${percent(node.value)} value`;
  const source = node.source === null ? '' : ` · from ${sourceNames[node.source] ?? node.source}`;
  return `${node.label}${value} · ${kindNames[node.kind]}${source} · depth ${node.depth} · token ${node.token}`;
}

// The whole tree if it stays readable; else its left edge, around the path.
function fitted(layout: TreeLayout, width: number, height: number, rem: number): ZoomTransform {
  if (layout.width === 0 || width === 0) return zoomIdentity;
  const whole = Math.min(width / layout.width, height / layout.height);
  const scale = Math.min(kMaxFit * rem, Math.max(kMinFit, whole));
  const spareX = width - layout.width * scale;
  const spareY = height - layout.height * scale;
  const path = layout.nodes.filter((n) => n.kind !== 'rejected');
  const middle = path.reduce((sum, n) => sum + n.y, 0) / Math.max(1, path.length);
  const y = spareY >= 0 ? spareY / 2 : clamp(height / 2 - middle * scale, spareY, 0);
  return zoomIdentity.translate(Math.max(0, spareX / 2), y).scale(scale);
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

interface NodeProps {
  node: PlacedNode;
  id: string;
  isCurrent: boolean;
  hasFigure: boolean;
}

function NodeShape({ node, id, isCurrent, hasFigure }: NodeProps) {
  const top = node.y - kNodeHeight / 2;
  const bar = node.value === null ? 0 : Math.max(2, (node.width - 12) * node.value);
  return (
    <g
      class={`node ${node.kind}${isCurrent ? ' current' : ''}`}
      id={id}
      role="treeitem"
      aria-level={node.depth + 1}
      aria-selected={isCurrent}
      aria-label={describeNode(node)}
      data-key={node.key}
      data-token={node.token}
      style={{ '--depth': node.depth }}
    >
      <rect class="box" x={node.x} y={top} width={node.width} height={kNodeHeight} rx="7" />
      <text x={node.x + 10} y={node.y + 4.5}>
        {node.label}
      </text>{' '}
      {node.value !== null && hasFigure && (
        <text class="value" x={node.x + node.width - 8} y={node.y + 4}>
          {percent(node.value)}
        </text>
      )}
      {node.value !== null && (
        <rect class="bar" x={node.x + 6} y={top + kNodeHeight - 4} width={bar} height="2" rx="1" />
      )}
    </g>
  );
}

// Of the page's type, relative to the usual 16 px. Asking for it makes the browser compute styles, so
// not for every round.
function typeSize(): number {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}

interface Props {
  round: TraceRound;
  isCompact?: boolean;
  lights?: boolean; // the path lights up; not when rounds follow each other fast
}

export function TreeView({ round, isCompact = false, lights = false }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const svg = useRef<SVGSVGElement>(null);
  const behavior = useRef<ZoomBehavior<SVGSVGElement, unknown> | null>(null);
  const [moved, setMoved] = useState<ZoomTransform | null>(null); // by the reader
  const [current, setCurrent] = useState<string | null>(null);
  const prefix = useId();
  const size = useSize(frame);
  const isNarrow = size.width < kNarrow;
  const layout = useMemo(() => layoutRound(round, isNarrow), [round, isNarrow]);
  const chosen = layout.nodes.find((n) => n.key === current) ?? null;

  const rem = useMemo(typeSize, [size]);
  const whole = useMemo(() => fitted(layout, size.width, size.height, rem), [layout, size, rem]);
  const transform = moved ?? whole;
  useEffect(() => {
    if (isCompact) return;
    const z = zoom<SVGSVGElement, unknown>()
      .scaleExtent([kMinScale, 4])
      // The wheel alone scrolls the page; with Ctrl, as pinching a touchpad sends it, it zooms.
      .filter((e: MouseEvent) => (e.type === 'wheel' ? e.ctrlKey || e.metaKey : !e.button))
      .on('zoom', (e: { transform: ZoomTransform }) => setMoved(e.transform));
    behavior.current = z;
    select(svg.current!).call(z).on('dblclick.zoom', null);
    return () => void select(svg.current!).on('.zoom', null);
  }, [isCompact]);
  // d3 keeps the transform on the element: where the reader starts to zoom from.
  useLayoutEffect(() => {
    (svg.current as ZoomedElement).__zoom = transform;
  }, [transform]);
  useEffect(() => setCurrent(null), [round]);

  const fit = () => setMoved(null);
  const scaleBy = (factor: number) => {
    select(svg.current!).call(behavior.current!.scaleBy, factor);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === '+' || event.key === '=') scaleBy(1.25);
    else if (event.key === '-') scaleBy(0.8);
    else if (event.key === '0') fit();
    else if (event.key === 'Escape') setCurrent(null);
    else if (event.key.startsWith('Arrow')) {
      const next = chosen ? neighbour(layout, chosen, event.key) : (layout.nodes[0] ?? null);
      if (next) setCurrent(next.key);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const pick = (event: Event) => {
    const node = (event.target as Element).closest('.node');
    setCurrent(node?.getAttribute('data-key') ?? null);
  };

  const nodes = layout.nodes.map((node) => (
    <NodeShape
      key={node.key}
      node={node}
      id={`${prefix}-${node.key}`}
      isCurrent={node === chosen}
      hasFigure={!isNarrow}
    />
  ));
  const picture = (
    <svg
      ref={svg}
      class="tree"
      width={size.width}
      height={size.height}
      {...(isCompact
        ? { role: 'img', 'aria-label': describeRound(round) }
        : {
            role: 'tree',
            tabIndex: 0,
            'aria-label': `Draft tree of round ${round.round}: ${describeRound(round)}`,
            'aria-activedescendant': chosen ? `${prefix}-${chosen.key}` : undefined,
            onKeyDown,
            onPointerOver: pick,
            onPointerLeave: () => setCurrent(null),
            onClick: pick,
          })}
    >
      <g
        key={lights ? round.round : 'scene'}
        class={lights ? 'scene lights' : 'scene'}
        role="none"
        transform={transform.toString()}
      >
        <g class="links" aria-hidden="true">
          {layout.links.map((link) => (
            <path key={link.key} class={link.kind} d={link.d} style={{ '--depth': link.depth }} />
          ))}
        </g>
        {isCompact ? <g aria-hidden="true">{nodes}</g> : nodes}
      </g>
    </svg>
  );
  if (isCompact) {
    return (
      <div class="tree-frame compact" ref={frame}>
        {picture}
      </div>
    );
  }
  return (
    <div class="tree-panel">
      <div class="tree-frame" ref={frame}>
        {picture}
      </div>
      <div class="zoom" role="group" aria-label="Zoom">
        <button class="quiet icon-only" aria-label="Zoom in" onClick={() => scaleBy(1.25)}>
          <Icon name="plus" />
        </button>
        <button class="quiet icon-only" aria-label="Zoom out" onClick={() => scaleBy(0.8)}>
          <Icon name="minus" />
        </button>
        <button class="quiet icon-only" aria-label="Fit the whole tree" onClick={fit}>
          <Icon name="fit" />
        </button>
      </div>
      <p class="node-note" aria-live="polite">
        {chosen ? describeNode(chosen) : <span class="muted">Point at a node, or use the arrow keys on the tree.</span>}
      </p>
    </div>
  );
}
