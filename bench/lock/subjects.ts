import { open as redisSemaphore } from './peers/redis-semaphore.js'
import { open as redlock4 } from './peers/redlock-4.js'
import { open as redlock5 } from './peers/redlock-5.js'
import { open as slotwise } from './slotwise.js'
import type { Candidate, Candidates } from './subject.js'

/** The first of Node that redlock-universal says it runs on. */
const UNIVERSAL_NEEDS = 22

const [major = 0] = process.versions.node.split('.').map(Number)

/** What cannot be measured here, and why. */
export const LEFT_OUT: readonly string[] =
  major < UNIVERSAL_NEEDS
    ? [
        `redlock-universal 0.8.5 was left out: it needs Node ${UNIVERSAL_NEEDS}, and this is ${process.version}`,
      ]
    : []

async function universal(): Promise<Candidates> {
  if (LEFT_OUT.length > 0) return {}
  const { open } = await import('./peers/redlock-universal.js')
  return { 'redlock-universal 0.8.5': { open, sends: ['set'] } }
}

export const OURS = 'slotwise'

/** Whom to look at: on a cluster, and on three nodes of their own, each with the commands besides scripts that it sends. */
export const CANDIDATES: Candidates = {
  'redlock 4.2.0': { open: redlock4 },
  'redlock 5.0.0-beta.2': { open: redlock5 },
  'redis-semaphore 5.8.0': { open: redisSemaphore, sends: ['set'] },
  ...(await universal()),
  [OURS]: { open: slotwise },
} as const satisfies Record<string, Candidate>
