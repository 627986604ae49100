/** Of each call. */
export interface OneByOne {
  readonly ns: number
  /** Time of a processor that this process took, all its threads together: what a busy neighbour disturbs least. */
  readonly cpuNs: number
  readonly calls: number
}

/** So many calls between two looks at the clock, since to look costs as much as a hit. */
const BATCH = 500

/** Calls one after the other, as a caller who reads in turns makes them. */
export async function oneByOne(call: (i: number) => Promise<unknown>, ms: number): Promise<OneByOne> {
  const cpu = process.cpuUsage()
  const from = performance.now()
  let calls = 0
  while (performance.now() < from + ms) {
    for (let n = 0; n < BATCH; n++) await call(calls++)
    // What tells of changes is to be heard, as in a process that serves.
    await new Promise((resolve) => setImmediate(resolve))
  }
  const took = performance.now() - from
  const { user, system } = process.cpuUsage(cpu)
  return { ns: (took * 1e6) / calls, cpuNs: ((user + system) * 1e3) / calls, calls }
}
