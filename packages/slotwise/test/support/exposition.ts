/** One series of a scrape. */
export interface Series {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** What a scrape says: its series, and the type and help of each metric. Throws for a line that it cannot read. */
export function parseExposition(text: string): {
  readonly series: readonly Series[]
  readonly types: ReadonlyMap<string, string>
  readonly help: ReadonlyMap<string, string>
} {
  const series: Series[] = []
  const types = new Map<string, string>()
  const help = new Map<string, string>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [, keyword, name = '', rest = ''] = /^# (TYPE|HELP) (\S+) (.*)$/.exec(line) ?? []
    if (keyword !== undefined) (keyword === 'TYPE' ? types : help).set(name, rest)
    else series.push(seriesOf(line))
  }
  return { series, types, help }
}

function seriesOf(line: string): Series {
  const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
  if (match === null) throw new Error(`not a line of an exposition: ${line}`)
  const [, name = '', inner = '', value] = match
  const pairs = [...inner.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/g)]
  if (pairs.map(([whole]) => whole).join('') !== inner) throw new Error(`labels that are none: ${line}`)
  const labels = Object.fromEntries(pairs.map(([, label = '', text = '']) => [label, text]))
  return { name, labels, value: Number(value) }
}
