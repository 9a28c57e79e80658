// A series over time. The figures are beside it as text; the picture alone is not for everybody.
import uPlot from 'uplot';
import { useEffect, useRef } from 'preact/hooks';

import { useSize } from './hooks';
import { theme } from './theme';

export interface Line {
  label: string;
  colour: string; // a custom property of the page's style
}

interface Props {
  label: string;
  lines: Line[];
  data: (number | null | undefined)[][]; // times, then one per line
}

function optionsOf(lines: Line[], element: Element, width: number, height: number): uPlot.Options {
  const style = getComputedStyle(element);
  const value = (name: string) => style.getPropertyValue(name).trim();
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const axis: uPlot.Axis = {
    stroke: value('--muted'),
    font: `${Math.round(rem * 0.75)}px system-ui, sans-serif`,
    grid: { stroke: value('--line'), width: 1 },
    ticks: { show: false },
    gap: 6,
  };
  return {
    width,
    height,
    padding: [rem * 0.5, rem * 2, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 1) * 1.1)] } },
    axes: [
      { ...axis, size: rem * 1.75, space: rem * 7, values: (_, times) => times.map(clock) },
      { ...axis, size: rem * 3 },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: value(line.colour),
        width: 2,
        points: { show: false },
      })),
    ],
  };
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toTimeString().slice(0, 8);
}

export function Chart({ label, lines, data }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const size = useSize(frame);
  const isDark = matchMedia('(prefers-color-scheme: dark)').matches;
  useEffect(() => {
    if (size.width === 0) return;
    const options = optionsOf(lines, frame.current!, size.width, size.height);
    const p = new uPlot(options, data as uPlot.AlignedData, frame.current!);
    plot.current = p;
    return () => p.destroy();
  }, [size.width, size.height, theme.value, isDark]);
  useEffect(() => plot.current?.setData(data as uPlot.AlignedData), [data]);
  return <div class="chart" ref={frame} role="img" aria-label={label} />;
}
