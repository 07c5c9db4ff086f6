// The name and the colour that the operator has chosen, and the theme that the reader has.
import type { Brand } from './api'

const THEME = 'hookline-theme'

/** Reads how the page presents itself, and sets its colour. */
export async function presentAs(): Promise<Brand> {
  const brand = await fetch('/portal/brand.json').then((answer) => answer.json() as Promise<Brand>)
  const root = document.documentElement.style
  root.setProperty('--brand', brand.accent)
  root.setProperty('--on-brand', onColour(brand.accent))
  root.setProperty('--accent-light', mixed(brand.accent, [255, 255, 255], [0, 0, 0]))
  root.setProperty('--accent-dark', mixed(brand.accent, [21, 24, 31], [255, 255, 255]))
  return brand
}

/** Black or white: one of them has a contrast of at least 4.5 with any colour. */
const onColour = (hex: string): string => (contrast(hex, '#ffffff') >= contrast(hex, '#000000') ? '#ffffff' : '#000000')

type Colour = [number, number, number]

const parse = (hex: string): Colour => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Colour

function luminance(colour: string | Colour): number {
  const linear = (typeof colour === 'string' ? parse(colour) : colour).map((value) => {
    const share = value / 255
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  }) as Colour
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

function contrast(one: string | Colour, other: string | Colour): number {
  const [first, second] = [luminance(one), luminance(other)]
  return (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05)
}

/** The contrast that WCAG asks for between text and its background, with room for the tint of a selected row. */
const CONTRAST_MIN = 5.2

/** Returns the colour, moved towards `end` until a text of it can be read on `background`. */
function mixed(hex: string, background: Colour, end: Colour): string {
  const from = parse(hex)
  for (let step = 0; step <= 20; step += 1) {
    const colour = from.map((value, at) => Math.round(value + ((end[at] as number) - value) * (step / 20))) as Colour
    if (contrast(colour, background) >= CONTRAST_MIN) return `rgb(${colour.join(' ')})`
  }
  return `rgb(${end.join(' ')})`
}

export type Theme = 'system' | 'light' | 'dark'

export function theme(): Theme {
  const kept = localStorage.getItem(THEME)
  return kept === 'light' || kept === 'dark' ? kept : 'system'
}

export function applyTheme(chosen: Theme = theme()): void {
  if (chosen === 'system') {
    localStorage.removeItem(THEME)
    delete document.documentElement.dataset['theme']
  } else {
    localStorage.setItem(THEME, chosen)
    document.documentElement.dataset['theme'] = chosen
  }
}
