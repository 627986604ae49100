import { type ParseArgsConfig, parseArgs } from 'node:util'

const COMMON = {
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

/** The options of a benchmark, `--json` among them; with `--help` it says what it does, and ends. What cannot be is refused in a sentence. */
export function optionsOf<Options extends NonNullable<ParseArgsConfig['options']>>(
  help: string,
  options: Options,
): ReturnType<typeof parseArgs<{ options: Options & typeof COMMON }>>['values'] {
  try {
    const { values } = parseArgs({ options: { ...options, ...COMMON } })
    if ('help' in values && values.help === true) {
      console.log(help)
      process.exit(0)
    }
    return values
  } catch (error) {
    if (error instanceof TypeError) return refuse(error.message)
    throw error
  }
}

export function refuse(sentence: string): never {
  console.error(sentence)
  process.exit(2)
}

/** Options that are positive whole numbers, as they were given. */
export function counts<const Texts extends readonly string[]>(
  ...texts: Texts
): { [At in keyof Texts]: number } {
  return texts.map((text) => {
    const count = Number(text)
    if (Number.isSafeInteger(count) && count > 0) return count
    return refuse(`A positive whole number was expected, got ${text}.`)
  }) as { [At in keyof Texts]: number }
}

/** Whether a part is to be measured: the one that was asked for, or each. */
export function wanted<Part extends string>(
  only: string | undefined,
  parts: readonly Part[],
): (part: Part) => boolean {
  if (only === undefined) return () => true
  if (parts.some((part) => part === only)) return (part) => part === only
  return refuse(`--only takes ${parts.join(', ')}, got ${only}.`)
}

/** What is being done, apart from the results. */
export const progress = (line: string): void => console.error(`  ${line}`)
