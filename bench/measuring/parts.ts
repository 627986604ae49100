import { exitCodeOf, type Finding, told } from './findings.js'
import { machine, machineLine } from './machine.js'

/** What one part of a benchmark came to: for machines, for people, and beside what is promised. */
export interface Result {
  readonly measured: unknown
  readonly tables: readonly string[]
  readonly findings: readonly Finding[]
}

/** How a benchmark of several parts was asked to run. */
interface Asked {
  readonly rounds: number
  readonly ms: number
  readonly json: boolean | undefined
  /** Of Redis. */
  readonly version: string
  /** What was not measured, and why, a line each. */
  readonly leftOut?: readonly string[]
}

/** Measures one part after the other, those that are wanted, and tells all of it; the exit code says whether promises were kept. */
export async function tellInParts<P extends string>(
  parts: readonly P[],
  isWanted: (part: P) => boolean,
  measurements: Readonly<Record<P, () => Promise<Result>>>,
  { rounds, ms, json, version, leftOut = [] }: Asked,
): Promise<void> {
  const onMachine = machine()
  const results: (Result & { readonly part: P })[] = []
  for (const part of parts) {
    if (isWanted(part)) results.push({ part, ...(await measurements[part]()) })
  }
  const measuredOn = { ...onMachine(), redis: version }
  const findings = [
    ...results.flatMap((result) => result.findings),
    ...leftOut.map((line): Finding => ({ line })),
  ]
  if (json === true) {
    const measured = results.map(({ part, measured: one, findings: found }) => ({
      part,
      measured: one,
      findings: found,
    }))
    const all = { machine: measuredOn, rounds, ms, ...(leftOut.length > 0 && { leftOut }), results: measured }
    console.log(JSON.stringify(all, null, 2))
  } else {
    const tables = results.flatMap((result) => result.tables.map((one) => `${one}\n`))
    console.log([`${machineLine(measuredOn, `Redis ${version}`)}\n`, ...tables, told(findings)].join('\n'))
  }
  process.exitCode = exitCodeOf(findings)
}
