// As the system has it, or as the reader says.
import { signal } from '@preact/signals';

export type Theme = 'auto' | 'light' | 'dark';
const kName = 'gumbelspec-theme';
const themes: Theme[] = ['auto', 'light', 'dark'];

function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(kName) as Theme;
    return themes.includes(stored) ? stored : 'auto';
  } catch {
    return 'auto';
  }
}

export const theme = signal<Theme>(storedTheme());

export function applyTheme(): void {
  if (theme.value === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}

export function cycleTheme(): void {
  theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length]!;
  applyTheme();
  try {
    localStorage.setItem(kName, theme.value);
  } catch {
    // then it lasts as long as the page
  }
}

export function prefersReducedMotion(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
