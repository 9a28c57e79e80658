// The text of a session, a span per token. Appends to the page by hand: a virtual tree of thousands
// of spans would be compared as a whole on every frame.
import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

import type { Session, SessionToken } from '../session/session';
import { visible } from '../session/pieces';
import { openRound } from '../state';
import { prefersReducedMotion } from './theme';

interface Props {
  session: Session;
  label: string;
  isShown: () => boolean; // read within an effect: hidden views do not draw
  opensRounds?: boolean;
}

// One sentence about a token: the tooltip's, and what a screen reader says.
export function describeToken(token: SessionToken, session: Session): string {
  const parts = [
    token.drafted ? `drafted and accepted, depth ${token.depth + 1}` : "the target's own choice",
    `margin ${token.margin === null ? '∞' : token.margin.toFixed(2)}`,
    `round ${session.rounds[token.round]?.round ?? token.round}`,
  ];
  if (token.runner_up) parts.push(`runner-up “${visible(token.runner_up.text)}”`);
  return parts.join(' · ');
}

class TokenPainter {
  private spans: HTMLSpanElement[] = [];
  private unpainted = 0; // spans from here may still change
  private readonly rest: Text;
  current = -1;

  constructor(
    private readonly box: HTMLElement,
    private readonly tip: HTMLElement,
    private readonly session: Session,
  ) {
    box.textContent = '';
    this.rest = document.createTextNode('');
    box.append(this.rest);
  }

  paint(): void {
    const { tokens, pieces, text } = this.session;
    const isAtEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 40;
    const added = document.createDocumentFragment();
    for (let i = this.spans.length; i < tokens.length; i++) {
      const span = document.createElement('span');
      span.className = tokens[i]!.drafted ? 't accepted' : 't own';
      span.dataset.i = String(i);
      this.spans.push(span);
      added.append(span);
    }
    this.box.insertBefore(added, this.rest);
    // A character that comes in several tokens is known only when the last has come.
    let firstEmpty = -1;
    for (let i = this.unpainted; i < this.spans.length; i++) {
      const shown = pieces.shown[i] ?? '';
      if (shown === '' && firstEmpty < 0) firstEmpty = i;
      if (this.spans[i]!.textContent !== shown) this.spans[i]!.textContent = shown;
    }
    this.unpainted = Math.max(firstEmpty < 0 ? this.spans.length : firstEmpty, this.spans.length - 16);
    this.rest.data = text.slice(pieces.cursor);
    if (isAtEnd) this.box.scrollTop = this.box.scrollHeight;
  }

  indexOf(target: EventTarget | null): number {
    const span = (target as HTMLElement | null)?.closest?.<HTMLElement>('.t');
    return span && this.box.contains(span) ? Number(span.dataset.i) : -1;
  }

  point(index: number, scrolls = false): void {
    if (index === this.current) return;
    this.spans[this.current]?.classList.remove('current');
    this.current = index;
    const span = this.spans[index];
    const token = this.session.tokens[index];
    this.tip.hidden = !span || !token;
    if (!span || !token) return;
    span.classList.add('current');
    if (scrolls) {
      span.scrollIntoView({
        block: 'nearest',
        behavior: prefersReducedMotion() ? 'instant' : 'smooth',
      });
    }
    this.tip.textContent = describeToken(token, this.session);
    this.place(span);
  }

  // Keeps the tooltip at its token when the text moves.
  follow(): void {
    const span = this.spans[this.current];
    if (span) this.place(span);
  }

  private place(span: HTMLElement): void {
    const frame = this.tip.offsetParent!.getBoundingClientRect();
    const at = span.getClientRects()[0] ?? span.getBoundingClientRect();
    const room = Math.max(0, frame.width - this.tip.offsetWidth - 8);
    const left = Math.min(Math.max(8, at.left - frame.left), room);
    const above = at.top - frame.top - this.tip.offsetHeight - 6;
    const top = above >= 0 ? above : at.bottom - frame.top + 6;
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${top}px`;
  }

  step(by: number): void {
    const last = this.spans.length - 1;
    const from = this.current < 0 ? (by > 0 ? -1 : last + 1) : this.current;
    this.point(Math.min(last, Math.max(0, from + by)), true);
  }

  get last(): number {
    return this.spans.length - 1;
  }
}

export function TokenText({ session, label, isShown, opensRounds = true }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const painter = useRef<TokenPainter | null>(null);
  useEffect(() => {
    const p = new TokenPainter(box.current!, tip.current!, session);
    painter.current = p;
    tip.current!.hidden = true;
    const dispose = effect(() => {
      void session.version.value;
      if (isShown()) p.paint();
    });
    return dispose;
  }, [session]);

  const open = (index: number) => {
    const token = session.tokens[index];
    if (opensRounds && token) openRound(token.round);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const p = painter.current!;
    if (event.key === 'ArrowRight') p.step(1);
    else if (event.key === 'ArrowLeft') p.step(-1);
    else if (event.key === 'Home') p.point(0, true);
    else if (event.key === 'End') p.point(p.last, true);
    else if (event.key === 'Escape') p.point(-1);
    else if (event.key === 'Enter') open(p.current);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="token-frame">
      <div
        ref={box}
        class={opensRounds ? 'tokens opens' : 'tokens'}
        role="group"
        tabIndex={0}
        aria-label={label}
        onKeyDown={onKeyDown}
        onPointerMove={(e) => painter.current!.point(painter.current!.indexOf(e.target))}
        onPointerLeave={() => painter.current!.point(-1)}
        onScroll={() => painter.current!.follow()}
        onBlur={() => painter.current!.point(-1)}
        onClick={(e) => {
          // Selecting text is not a click on a token.
          if (String(getSelection())) return;
          open(painter.current!.indexOf(e.target));
        }}
      />
      <div ref={tip} class="tip" role="status" hidden />
    </div>
  );
}
