import { stripVTControlCharacters } from 'node:util'

/** A column: its heading, and where its cells stand. */
export interface Column {
  readonly title: string
  /** @defaultValue `'left'` */
  readonly align?: 'left' | 'right'
}

/**
 * Rows under headings, two blanks between columns, nothing behind the last. Colours do not count as width, and what would
 * control a terminal is shown instead of done: names and replies come from servers.
 */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map(({ title }) => title), ...rows]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => widthOf(line[i] ?? ''))))
  return lines
    .map((line) =>
      columns
        .map(({ align }, i) => padded(line[i] ?? '', widths[i] ?? 0, align))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function padded(cell: string, width: number, align: Column['align']): string {
  const blanks = ' '.repeat(width - widthOf(cell))
  return align === 'right' ? `${blanks}${cell}` : `${cell}${blanks}`
}

/** Characters that take two places are the exception that nobody's node is named with. */
const widthOf = (text: string): number => Array.from(stripVTControlCharacters(text)).length

/** Text from elsewhere, harmless on a terminal. */
export function harmless(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
