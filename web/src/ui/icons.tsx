// One line icons, 24 x 24, in the colour of the text.
const paths = {
  write: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  watch: 'M4 12c5 0 4-6 9-6h2M4 12c5 0 4 6 9 6h2M13 18c3 0 2-5 5-5M15 6h3M4 12h0',
  race: 'M4 7h12m0 0-3-3m3 3-3 3M4 17h16m0 0-3-3m3 3-3 3',
  meters: 'M4 20V10M10 20V4M16 20v-7M22 20H2',
  auto: 'M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18',
  light: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5 19 19M5 19l1.5-1.5M17.5 6.5 19 5',
  dark: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  play: 'M7 4.5v15l12-7.5z',
  pause: 'M8 5v14M16 5v14',
  stop: 'M6 6h12v12H6z',
  first: 'M6 5v14M19 5l-9 7 9 7z',
  back: 'M16 5l-9 7 9 7z',
  forward: 'M8 5l9 7-9 7z',
  last: 'M18 5v14M5 5l9 7-9 7z',
  dice: 'M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zM8.5 8.5h0M15.5 8.5h0M12 12h0M8.5 15.5h0M15.5 15.5h0',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  save: 'M12 4v11m0 0-4-4m4 4 4-4M4 20h16',
  load: 'M12 15V4m0 0L8 8m4-4 4 4M4 20h16',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  fit: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  check: 'M4 12.5l5 5L20 6.5',
  cross: 'M6 6l12 12M18 6 6 18',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
