import { ConfigurationError } from '../errors.js'

/** What makes of a row what is written has thrown, or has made something that no JSON can hold. */
export class UnfitRowError extends Error {
  override name = 'UnfitRowError'
}

/** Data that does not fit, a constraint, a limit: the classes 22, 23 and 54; and what did not come so far. */
export function isAboutRow(error: unknown): boolean {
  return error instanceof UnfitRowError || /^(?:22|23|54)...$/.test(codeOf(error))
}

/**
 * What no row is the cause of, and no second try mends: a table, column, index or right that is missing. In words that say what to do;
 * every other error as it is.
 */
export function explained(error: unknown, table: string): unknown {
  const code = codeOf(error)
  if (!(error instanceof Error) || !/^(?:42|28|3D|3F)/.test(code)) return error
  const hint = error.message.includes('slotwise_writebehind')
    ? MISSING.has(code)
      ? 'run writeBehindSql() in your migrations'
      : 'the user needs the rights to select, insert and update there'
    : (HINTS[code]?.(table) ?? `look at the settings of the writer of ${table}`)
  return new ConfigurationError(`Postgres refuses what no row is the cause of: ${error.message} (${hint})`, {
    cause: error,
  })
}

const MISSING: ReadonlySet<string> = new Set(['42P01', '42703'])

const HINTS: Readonly<Record<string, (table: string) => string>> = {
  '42P01': (table) => `make ${table}, or name its schema in \`table\``,
  '42703': (table) =>
    `\`columns\`, \`key\`, \`softDelete\` and \`version\` may name columns of ${table} only`,
  '42P10': (table) => `${table} needs a primary key or unique index of exactly the columns of \`key\``,
  '42501': (table) => `the user needs the rights to select, insert, update and delete in ${table}`,
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
