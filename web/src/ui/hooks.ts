import { effect, type Signal } from '@preact/signals';
import { useEffect, useState, type MutableRef } from 'preact/hooks';

// The size of an element's content box, in CSS pixels.
export function useSize(ref: MutableRef<Element | null>): { width: number; height: number } {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      setSize({ width, height });
    });
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, []);
  return size;
}

// Draws the component again when the signal changes, but not more often than every ms: what nobody
// can read faster need not be drawn faster.
export function useThrottled(source: Signal<unknown> | undefined, ms: number): void {
  const [, redraw] = useState(0);
  useEffect(() => {
    if (!source) return;
    let last = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      timer = undefined;
      last = performance.now();
      redraw((n) => n + 1);
    };
    const dispose = effect(() => {
      void source.value;
      if (timer !== undefined) return;
      timer = setTimeout(draw, Math.max(0, last + ms - performance.now()));
    });
    return () => {
      dispose();
      clearTimeout(timer);
    };
  }, [source, ms]);
}
