// All rounds at a glance: a bar per round, as high as the tokens it brought. On a canvas, since a
// session has hundreds; the slider below it is the control that keys and screen readers use.
import { useEffect, useRef } from 'preact/hooks';

import type { Session } from '../session/session';
import { theme } from '../ui/theme';
import { useSize } from '../ui/hooks';

interface Props {
  session: Session;
  shown: number;
  onPick: (index: number) => void;
}

function colours(element: Element) {
  const style = getComputedStyle(element);
  const value = (name: string) => style.getPropertyValue(name).trim();
  return { accepted: value('--accept'), own: value('--own') };
}

export function Timeline({ session, shown, onPick }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(frame);
  const n = session.rounds.length;
  useEffect(() => {
    const c = canvas.current!;
    const ratio = devicePixelRatio || 1;
    c.width = Math.round(size.width * ratio);
    c.height = Math.round(size.height * ratio);
    if (n === 0 || c.width === 0) return;
    const pen = c.getContext('2d')!;
    const { accepted, own } = colours(c);
    const most = session.rounds.reduce((m, r) => Math.max(m, r.tokens.length), 3);
    const step = c.width / n;
    const gap = step > 4 * ratio ? ratio : 0;
    const unit = (c.height - 4 * ratio) / most;
    session.rounds.forEach((round, i) => {
      const nAccepted = round.tokens.filter((t) => t.drafted).length;
      const x = i * step;
      const low = c.height - nAccepted * unit;
      pen.fillStyle = accepted;
      pen.fillRect(x, low, step - gap, nAccepted * unit);
      pen.fillStyle = own;
      pen.fillRect(x, low - (round.tokens.length - nAccepted) * unit, step - gap, unit - gap);
    });
  }, [session, n, size.width, size.height, theme.value]);

  const pick = (event: PointerEvent) => {
    const box = frame.current!.getBoundingClientRect();
    onPick(Math.floor(((event.clientX - box.left) / box.width) * n));
  };
  return (
    <div
      ref={frame}
      class="timeline"
      aria-hidden="true"
      onPointerDown={(e) => {
        frame.current!.setPointerCapture(e.pointerId);
        pick(e);
      }}
      onPointerMove={(e) => e.buttons === 1 && pick(e)}
    >
      <canvas ref={canvas} />
      <span class="marker" style={{ left: `${(100 * shown) / n}%`, width: `${100 / n}%` }} />
    </div>
  );
}
