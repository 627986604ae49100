import { setTimeout as sleep } from 'node:timers/promises'
import type { LocalCluster } from 'slotwise/local'
import { openPublished, openTagged } from './peers/upstash.js'
import { placeIn } from './server.js'
import { openPlain } from './slotwise.js'
import type { Limit, Open, Subject } from './subject.js'
import { isOurs, SUBJECTS, UNIONS } from './subjects.js'

/** What one library did. `undefined` where it has no such thing. */
export interface Probed {
  readonly name: string
  /** After 8 of 10 and a refused request for 5, whether the 2 that are left can be had. */
  readonly leftAfterRefusal: boolean | undefined
  /** How long after its window of half a second was used up something could be had again, in milliseconds. */
  readonly shortWindowMs: number
  /** The most that was admitted within one length of the window, of a limit of 20, by who knows where its windows end. */
  readonly atEdges: number
  /** Whether a process whose clock is a window ahead is admitted where all is used up. */
  readonly aheadAdmitted: boolean
}

/** Of three limits of which the first refuses: what a second one has lost to 1 request admitted and 20 refused. */
export interface Union {
  readonly name: string
  readonly lost: number
}

export interface Hung {
  readonly name: string
  /** Until it answered or failed, in milliseconds, with its servers stopped (SIGSTOP). */
  readonly ms: number
  readonly outcome: 'admitted' | 'refused' | 'failed' | 'nothing'
}

export interface Probes {
  readonly each: readonly Probed[]
  readonly unions: readonly Union[]
  readonly hung: readonly Hung[]
  /** What comes of @upstash/ratelimit on a cluster as it is published, and with its keys in one slot. */
  readonly upstash: { readonly published: string; readonly tagged: string }
}

const MINUTE_MS = 60_000
export const SHORT_MS = 500
export const EDGE: Limit = { limit: 20, windowMs: 2000 }
/** Longer than anybody waits for a page. */
export const BOUND_MS = 8000

/** What goes wrong with limits, tried on each. */
export async function probe(cluster: LocalCluster, progress: (line: string) => void): Promise<Probes> {
  // Two limits one behind the other: what is asked of one does not apply to it.
  const { 'rate-limiter-flexible 11.4.0, Bursty': _, ...subjects } = SUBJECTS
  const each: Probed[] = []
  for (const [name, open] of Object.entries(subjects)) {
    progress(`probing ${name}`)
    each.push({
      name,
      leftAfterRefusal: await by(cluster, open, [{ limit: 10, windowMs: MINUTE_MS }], leftAfterRefusal),
      shortWindowMs: await by(cluster, open, [{ limit: 2, windowMs: SHORT_MS }], shortWindow),
      atEdges: await by(cluster, open, [EDGE], atEdges),
      aheadAdmitted: await by(cluster, open, [{ limit: 5, windowMs: MINUTE_MS }], aheadAdmitted),
    })
  }
  const unions: Union[] = []
  const three = [1, 100, 100].map((limit): Limit => ({ limit, windowMs: MINUTE_MS }))
  for (const [name, open] of Object.entries(UNIONS)) {
    unions.push({ name, lost: await by(cluster, open, three, lostToRefusals) })
  }
  const one: readonly Limit[] = [{ limit: 5, windowMs: MINUTE_MS }]
  const upstash = {
    published: await by(cluster, openPublished, one, failureOf),
    tagged: await by(cluster, openTagged, one, failureOf),
  }
  progress('all servers stopped (SIGSTOP)')
  return { each, unions, upstash, hung: await whileHung(cluster) }
}

async function by<R>(
  cluster: LocalCluster,
  open: Open,
  limits: readonly Limit[],
  use: (subject: Subject) => Promise<R>,
): Promise<R> {
  const subject = await open(placeIn(cluster), limits)
  try {
    return await use(subject)
  } finally {
    await subject.close()
  }
}

const ID = 'somebody'

async function leftAfterRefusal(subject: Subject): Promise<boolean | undefined> {
  if (!subject.hasCosts) return undefined
  if (!(await subject.take(ID, 8))) throw new Error('8 of 10 were refused')
  if (await subject.take(ID, 5)) throw new Error('13 of 10 were admitted')
  return await subject.take(ID, 2)
}

async function shortWindow(subject: Subject): Promise<number> {
  await subject.take('to connect')
  // At the beginning of a window, for those that have them by the clock.
  await sleep(SHORT_MS - (Date.now() % SHORT_MS))
  while (await subject.take(ID)) {
    // Until it is used up.
  }
  const from = performance.now()
  while (performance.now() - from < 6 * SHORT_MS) {
    await sleep(25)
    if (await subject.take(ID)) return performance.now() - from
  }
  return Number.POSITIVE_INFINITY
}

/** Windows begin at multiples of their length, or with the first request, which is made there. */
async function atEdges(subject: Subject): Promise<number> {
  const { limit, windowMs } = EDGE
  await subject.take('to connect')
  const admitted: { readonly sent: number; readonly answered: number }[] = []
  const take = async () => {
    const sent = performance.now()
    if (await subject.take(ID)) admitted.push({ sent, answered: performance.now() })
  }
  const burst = () => Promise.all(Array.from({ length: limit + 10 }, take))
  const beginning = Math.ceil((Date.now() + 50) / windowMs) * windowMs
  const at = (ms: number) => sleep(Math.max(0, beginning + ms - Date.now()))
  await at(5)
  await take()
  // The end of the first window, the beginning of the second, and its end.
  for (const ms of [windowMs - 100, windowMs + 20, 2 * windowMs - 150]) {
    await at(ms)
    await burst()
  }
  const counts = admitted.map(
    ({ sent: from }) =>
      admitted.filter(({ sent, answered }) => sent >= from && answered <= from + windowMs).length,
  )
  return Math.max(...counts)
}

async function aheadAdmitted(subject: Subject): Promise<boolean> {
  while (await subject.take(ID)) {
    // Until it is used up.
  }
  const real = Date.now
  Date.now = () => real() + 2 * MINUTE_MS
  try {
    return await subject.take(ID)
  } finally {
    Date.now = real
  }
}

async function lostToRefusals(subject: Subject): Promise<number> {
  for (let i = 0; i < 21; i++) {
    if ((await subject.take(ID)) !== (i === 0)) throw new Error('the first was to be admitted, and no other')
  }
  const [, second] = (await subject.left?.(ID)) ?? []
  return 100 - (second ?? Number.NaN)
}

const failureOf = (subject: Subject): Promise<string> =>
  subject.take(ID).then(
    () => 'it works',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )

/** All connect while all is well; then all servers stop, and each is asked once. */
async function whileHung(cluster: LocalCluster): Promise<readonly Hung[]> {
  const subjects: Readonly<Record<string, Open>> = {
    ...Object.fromEntries(Object.entries(SUBJECTS).filter(([name]) => !isOurs(name))),
    slotwise: openPlain,
  }
  const limits = [{ limit: 1000, windowMs: MINUTE_MS }]
  const opened = await Promise.all(
    Object.entries(subjects).map(async ([name, open]) => ({
      name,
      subject: await open(placeIn(cluster), limits),
    })),
  )
  const all = [...cluster.nodes.keys()]
  try {
    for (const { subject } of opened) {
      for (let i = 0; i < 20; i++) await subject.take(`warm-${i}`)
    }
    await Promise.all(all.map((index) => cluster.pause(index)))
    return await Promise.all(
      opened.map(async ({ name, subject }) => ({ name, ...(await askedOnce(subject)) })),
    )
  } finally {
    await Promise.all(all.map((index) => cluster.resume(index)))
    await Promise.all(opened.map(({ subject }) => subject.close()))
    await cluster.whenHealthy()
  }
}

async function askedOnce(subject: Subject): Promise<Omit<Hung, 'name'>> {
  const from = performance.now()
  const asked = subject.take('warm-0').then(
    (isAdmitted) => (isAdmitted ? 'admitted' : 'refused'),
    () => 'failed' as const,
  )
  const outcome = await Promise.race([asked, sleep(BOUND_MS, 'nothing' as const)])
  return { ms: performance.now() - from, outcome }
}
