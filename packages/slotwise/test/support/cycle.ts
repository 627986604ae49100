import { expect } from 'vitest'
import { type DoctorOptions, doctor, type Finding, type FindingId } from '../../src/cluster/index.js'
import type { RedisPort } from '../../src/redis/index.js'
import { idsOf, isScripted, remedy } from './doctor.js'

/** A part of a fix, word for word, and the doing of it. */
export interface Remedy {
  readonly words: string
  readonly apply: (port: RedisPort, findings: readonly Finding[]) => Promise<unknown>
}

/** Runs the very commands that the fix prints, or those that begin so, at the finding's node or at those given. */
export const printed = (
  start = '',
  at?: readonly string[] | ((finding: Finding) => readonly string[]),
): Remedy => ({
  words: start,
  apply: async (port, findings) => {
    for (const finding of findings) {
      const nodes = typeof at === 'function' ? at(finding) : (at ?? [finding.node])
      await remedy(port, finding, nodes, start)
    }
  },
})

/** Does what the fix says in words; it must say these. */
export const said = (words: string, apply: (findings: readonly Finding[]) => unknown): Remedy => ({
  words,
  apply: async (_port, findings) => apply(findings),
})

interface Cycle {
  /** Whom the doctor looks through; asked each time, since some faults and remedies are the client's own. */
  readonly through: () => RedisPort
  /** Whom printed commands are run through, where the doctor's own user may not. */
  readonly operator?: RedisPort
  readonly options?: DoctorOptions
  readonly cause: () => unknown
  /** More to be said of what was found. */
  readonly seen?: (findings: readonly Finding[]) => unknown
  /** What is done about each of these findings, one after the other. */
  readonly remedies: Readonly<Partial<Record<FindingId, Remedy>>>
  /** What is left when these findings are gone: nothing, unless it is named. */
  readonly leaves?: readonly FindingId[]
  /** How long the cluster may take to show it, and to be well again. */
  readonly patienceMs?: number
}

/**
 * The life of findings, which is what a test of one has to show: not there, caused, seen, gone once what its own fix says
 * was done, and then nothing else is wrong either. The test's name holds each of them, and says `scripted` exactly if
 * answers of servers are made up.
 */
export async function cycle(steps: Cycle): Promise<void> {
  const { through, options, leaves = [], patienceMs: timeout = 8000 } = steps
  const ids = Object.keys(steps.remedies) as FindingId[]
  const name = expect.getState().currentTestName ?? ''
  for (const id of ids) expect(name).toContain(id)

  const found = async () => doctor(through(), options)
  const present = async () => {
    const all = idsOf(await found())
    return ids.filter((id) => all.includes(id))
  }
  expect(await present()).toEqual([])
  await steps.cause()
  expect(name.includes('scripted')).toBe(isScripted(through()))

  let findings: readonly Finding[] = []
  const missing = async () => {
    findings = await found()
    return ids.filter((id) => !idsOf(findings).includes(id))
  }
  await expect.poll(missing, { timeout }).toEqual([])
  await steps.seen?.(findings)

  for (const id of ids) {
    const { words, apply } = steps.remedies[id] as Remedy
    const these = findings.filter((finding) => finding.id === id)
    for (const { fix } of these) expect(fix).toContain(words)
    await apply(steps.operator ?? through(), these)
  }
  const left = async () => (await found()).filter(({ id }) => !leaves.includes(id))
  await expect.poll(left, { timeout }).toEqual([])
}
