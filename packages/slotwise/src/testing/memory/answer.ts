/** What a command answers; text is its bytes, one a character. */
export type Answer = number | string | null | Status | readonly Answer[]

/** `OK` and its like, which are no data. */
export class Status {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export const OK = new Status('OK')

/** An error that a server answers with; begins with its code. */
export class CommandError extends Error {}

export const wrongType = (): CommandError =>
  new CommandError('WRONGTYPE Operation against a key holding the wrong kind of value')
export const syntaxError = (): CommandError => new CommandError('ERR syntax error')

/** A whole number as commands take it. */
export function wholeNumber(text: string | undefined): number {
  const number = text !== undefined && /^-?(0|[1-9]\d*)$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(number)) return number
  throw new CommandError('ERR value is not an integer or out of range')
}
