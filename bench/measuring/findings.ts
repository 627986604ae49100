/** Something that was found. `holds` says of what is promised whether it is so. */
export interface Finding {
  readonly holds?: boolean
  readonly line: string
}

/** One line each; what is promised is marked as reached or missed. */
export const told = (findings: readonly Finding[]): string =>
  findings
    .map(({ holds, line }) => `${holds === undefined ? '       ' : holds ? 'reached' : 'missed '}  ${line}`)
    .join('\n')

/** 1 if something that is promised was missed. */
export const exitCodeOf = (findings: readonly Finding[]): 0 | 1 =>
  findings.some(({ holds }) => holds === false) ? 1 : 0
