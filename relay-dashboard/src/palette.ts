/**
 * Colours for any colour vision (Okabe and Ito 2008), darker or lighter depending on the background.
 * When all colours are used, further lines are dashed.
 */
const light = ['#0067a8', '#c14f00', '#00785a', '#a83f7f', '#8a6100', '#3c3c3c']
const dark = ['#56b4e9', '#ff9a52', '#2cc9a0', '#f0a1cd', '#e8c547', '#d0d0d0']

const scheme = matchMedia('(prefers-color-scheme: dark)')

export const isDark = () => scheme.matches

/** @returns a function that stops it */
export function onSchemeChange (listener: () => void): () => void {
  scheme.addEventListener('change', listener)
  return () => scheme.removeEventListener('change', listener)
}

export interface Stroke {
  readonly color: string
  readonly dash: number[] | undefined
}

/** @param isBefore of an earlier range: dotted, in the colour of the line that it is compared with */
export function strokeOf (index: number, isBefore = false): Stroke {
  const colors = isDark() ? dark : light
  return {
    color: colors[index % colors.length],
    dash: isBefore ? [2, 4] : index < colors.length ? undefined : [7, 4]
  }
}

/** @param alpha 0 to 255 */
export const translucent = (color: string, alpha: number) => color + alpha.toString(16).padStart(2, '0')
