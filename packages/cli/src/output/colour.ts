/** What decides about colours and redrawing: a stream and its surroundings. */
export interface Surroundings {
  readonly isTTY: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** `--no-color` */
  readonly plain: boolean
}

/** On a terminal, unless told otherwise: `--no-color` first, then FORCE_COLOR, then NO_COLOR. */
export function usesColour({ isTTY, env, plain }: Surroundings): boolean {
  if (plain) return false
  const { FORCE_COLOR: forced, NO_COLOR: none, TERM: term } = env
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  if (none !== undefined && none !== '') return false
  return isTTY && term !== 'dumb'
}

type Paint = (text: string) => string

/** The few colours that carry a meaning here. */
export interface Palette {
  readonly bold: Paint
  readonly dim: Paint
  readonly good: Paint
  readonly warn: Paint
  readonly bad: Paint
}

export function palette(colours: boolean): Palette {
  const paint =
    (on: number, off: number): Paint =>
    (text) =>
      colours ? `\u001B[${on}m${text}\u001B[${off}m` : text
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    good: paint(32, 39),
    warn: paint(33, 39),
    bad: paint(31, 39),
  }
}
