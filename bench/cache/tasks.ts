import { setTimeout as sleep } from 'node:timers/promises'
import { Gate } from '../measuring/gate.js'
import { rateOf } from '../measuring/rates.js'
import { type Open, type Place, type Subject, valueOf } from './subject.js'

/** What a process that holds one subject can be asked to do. All of it starts cold, but for what `store` has stored. */
export class Tasks {
  readonly #open: Open
  readonly #place: Place
  readonly #opened: Subject[] = []

  constructor(open: Open, place: Place) {
    this.#open = open
    this.#place = place
  }

  /** Connects one instance, which the other tasks use. */
  async open(): Promise<void> {
    this.#opened.push(await this.#open(this.#place))
  }

  /**
   * The value is removed while it is being loaded, having changed: what the same instance and another one read later.
   * The loader of those reads would bring the new one.
   */
  async removeDuringLoad(): Promise<{ readonly same: string; readonly other: string }> {
    const [same, other] = await this.#instances(2)
    if (same === undefined || other === undefined) throw new Error('two instances were to be opened')
    let version = 'old'
    const [began, gate] = [new Gate(), new Gate()]
    const loading = same.read('removed', async () => {
      const seen = valueOf('removed', version)
      began.open()
      await gate.opened
      return seen
    })
    await began.opened
    version = 'new'
    await same.remove('removed')
    gate.open()
    await loading
    // What is stored behind the caller's back is to be there.
    await sleep(100)
    const later = async (subject: Subject) =>
      (await subject.read('removed', async () => valueOf('removed', version))).version
    return { same: await later(same), other: await later(other) }
  }

  /** Loads for one cold key, asked for by five instances three times each, all at once. */
  async coldKey(): Promise<number> {
    const instances = await this.#instances(5)
    return await this.#loadsOf(instances.flatMap((one) => [one, one, one]))
  }

  /** The same by one instance of this process so many times. */
  async calls(count: number): Promise<number> {
    const [subject] = this.#opened
    if (subject === undefined) throw new Error('nothing was opened')
    return await this.#loadsOf(Array.from({ length: count }, () => subject))
  }

  async #loadsOf(callers: readonly Subject[]): Promise<number> {
    let loads = 0
    const load = async () => {
      loads++
      await sleep(100)
      return valueOf('cold')
    }
    await Promise.all(callers.map((subject) => subject.read('cold', load)))
    return loads
  }

  /** Keys of 60, spread over all primaries, that are gone after they were removed at once; by id, and all. */
  async removed(): Promise<{ readonly many: Removal; readonly all: Removal }> {
    const [remover, reader] = await this.#instances(2)
    if (remover === undefined || reader === undefined) throw new Error('two instances were to be opened')
    const ids = Array.from({ length: 60 }, (_, n) => `removed-${n}`)
    const loadsFor = async () => {
      let loads = 0
      const load = async (id: string) => {
        loads++
        return valueOf(id)
      }
      await Promise.all(ids.map((id) => reader.read(id, () => load(id))))
      await sleep(100)
      return loads
    }
    const removing = async (remove: (() => Promise<unknown>) | undefined): Promise<Removal> => {
      if (remove === undefined) return undefined
      await loadsFor()
      const why = await remove().then(
        () => undefined,
        (error: unknown) => String(error),
      )
      return { gone: await loadsFor(), why }
    }
    return {
      many: await removing(
        remover.removeMany === undefined ? undefined : async () => remover.removeMany?.(ids),
      ),
      all: await removing(remover.removeAll === undefined ? undefined : async () => remover.removeAll?.()),
    }
  }

  /** How long one read-through takes whose loader takes 5 ms. */
  async once(id: string): Promise<number> {
    const [subject] = this.#opened
    const from = performance.now()
    await subject?.read(id, async () => {
      await sleep(5)
      return valueOf(id)
    })
    return performance.now() - from
  }

  /** Stores so many entries for `hits`, one after the other, until all of them are there. */
  async store(count: number): Promise<void> {
    const [subject] = this.#opened
    for (let round = 0; round < 10; round++) {
      let loads = 0
      for (let n = 0; n < count; n++) {
        await subject?.read(`hit-${n}`, async () => {
          loads++
          return valueOf(`hit-${n}`)
        })
      }
      if (loads === 0) return
    }
    throw new Error('what is stored does not stay')
  }

  /** Reads per second of what was stored, and how many of them loaded all the same: none, if Redis was in time. */
  async hits(count: number, inFlight: number, ms: number): Promise<Hits> {
    const [subject] = this.#opened
    if (subject === undefined) throw new Error('nothing was opened')
    const ids = Array.from({ length: count }, (_, n) => `hit-${n}`)
    let loads = 0
    const load = async (id: string) => {
      loads++
      // As long as a database takes; without any wait, those who load would let nobody hear of Redis again.
      await sleep(1)
      return valueOf(id)
    }
    const read = (i: number) => {
      const id = ids[i % count] ?? ''
      return subject.read(id, () => load(id))
    }
    const before = process.cpuUsage()
    const { calls, perSecond } = await rateOf(read, inFlight, ms)
    const { user, system } = process.cpuUsage(before)
    return { perSecond, cpuUs: (user + system) / calls, loads }
  }

  async #instances(count: number): Promise<readonly Subject[]> {
    const opened = await Promise.all(Array.from({ length: count }, () => this.#open(this.#place)))
    this.#opened.push(...opened)
    return opened
  }
}

export interface Hits {
  readonly perSecond: number
  /** Time of a processor that this process took for each: what a busy neighbour disturbs least. */
  readonly cpuUs: number
  /** Those that loaded all the same. */
  readonly loads: number
}

/** How many were gone, and what was thrown; `undefined` where there is no such thing. */
export type Removal = { readonly gone: number; readonly why: string | undefined } | undefined
