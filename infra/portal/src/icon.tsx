// The icons: strokes on a grid of 16, in the colour of the text beside them. They say nothing that the text does not say.
const PATHS = {
  check: 'M3.5 8.5l3 3 6-7',
  cross: 'M4.5 4.5l7 7m0-7l-7 7',
  clock: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 5v3.2l2 1.3',
  pause: 'M6 4v8M10 4v8',
  dash: 'M4 8h8',
  stop: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM4.2 4.2l7.6 7.6',
  plus: 'M8 3.5v9M3.5 8h9',
  copy: 'M6 5.5h7v8H6zM3.5 10.5V2.5h6',
  retry: 'M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3',
  send: 'M13.5 2.5l-11 4.2 4.6 2.2 2.2 4.6zM7.1 8.9l2.9-2.9',
  chevron: 'M6 4l4 4-4 4',
  system: 'M2.5 3.5h11v7h-11zM6 13.5h4',
  light: 'M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M12.6 3.4l-.7.7M4.1 11.9l-.7.7',
  dark: 'M13 9.6A5.5 5.5 0 1 1 6.4 3a4.4 4.4 0 0 0 6.6 6.6z',
  warning: 'M8 2.5l6 10.5H2zM8 6.5v3M8 11.3v.2',
  info: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 7.5v3M8 5.3v.2',
  webhook: 'M5.5 10.5h5M8 4l2.5 4.5M8 4L5.3 9M8 5.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM4 12a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM12 12a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z',
  inbox: 'M2.5 9.5l2-6h7l2 6v3.5h-11zM2.5 9.5h3.2a2.3 2.3 0 0 0 4.6 0h3.2',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round">
      <path d={PATHS[name]} />
    </svg>
  )
}
