import { randomUUID } from 'node:crypto'
import { heldLoad } from './gate.js'
import type { WatchedPort } from './watched-port.js'

/** What a race needs of a cache; ours and the naive one have it. */
export interface Racer {
  getOrLoad(id: string, load: () => Promise<string>): Promise<string>
  writeThrough(id: string, write: () => Promise<string>): Promise<string>
  invalidate(id: string): Promise<void>
  read(id: string): Promise<{ readonly found: true; readonly value: string } | { readonly found: false }>
}

/** Makes one more process's cache over the same entries. */
export type Enter = () => Racer

/** Each race returns what somebody saw that began after an invalidation or a write had resolved. */
export const races: Readonly<Record<string, (enter: Enter, port: WatchedPort) => Promise<string>>> = {
  'a load that was overtaken by an invalidation stores nothing': async (enter, port) => {
    const [reader, writer, id] = [enter(), enter(), randomUUID()]
    const slow = heldLoad<string>()
    const overtaken = reader.getOrLoad(id, slow.load)
    await slow.called
    await writer.invalidate(id)
    slow.finish('old')
    await overtaken
    await port.idle()
    return writer.getOrLoad(id, async () => 'new')
  },

  'a load that was overtaken cannot store under the lease of the load that followed it': async (
    enter,
    port,
  ) => {
    const [first, second, writer, id] = [enter(), enter(), enter(), randomUUID()]
    const [before, after] = [heldLoad<string>(), heldLoad<string>()]
    const overtaken = first.getOrLoad(id, before.load)
    await before.called
    await writer.invalidate(id)
    const following = second.getOrLoad(id, after.load)
    await after.called
    before.finish('old')
    await overtaken
    await port.idle()
    const seen = await writer.read(id)
    after.finish('new')
    await following
    await port.idle()
    return seen.found ? seen.value : writer.getOrLoad(id, async () => 'new')
  },

  'a caller that begins after an invalidation is not handed the load that began before it': async (
    enter,
    port,
  ) => {
    const [process, writer, id] = [enter(), enter(), randomUUID()]
    const slow = heldLoad<string>()
    const early = process.getOrLoad(id, slow.load)
    await slow.called
    await writer.invalidate(id)
    const late = process.getOrLoad(id, async () => 'new')
    await port.idle()
    slow.finish('old')
    await early
    return late
  },

  'a write that commits last, and reaches Redis first, is not covered up': async (enter) => {
    const [one, two, id] = [enter(), enter(), randomUUID()]
    const [commitsFirst, commitsLast] = [heldLoad<string>(), heldLoad<string>()]
    const older = one.writeThrough(id, commitsFirst.load)
    await commitsFirst.called
    const newer = two.writeThrough(id, commitsLast.load)
    await commitsLast.called
    commitsLast.finish('new')
    await newer
    commitsFirst.finish('old')
    await older
    return two.getOrLoad(id, async () => 'new')
  },

  'a load that began before a write stores nothing over it': async (enter, port) => {
    const [reader, writer, id] = [enter(), enter(), randomUUID()]
    const slow = heldLoad<string>()
    const overtaken = reader.getOrLoad(id, slow.load)
    await slow.called
    await writer.writeThrough(id, async () => 'new')
    slow.finish('old')
    await overtaken
    await port.idle()
    return reader.getOrLoad(id, async () => 'new')
  },
}

/** How often a cold entry is loaded when five processes ask three times each at once. */
export async function loadsOfAColdEntry(enter: Enter): Promise<number> {
  const id = randomUUID()
  let loads = 0
  const load = async (): Promise<string> => {
    loads++
    await new Promise((resolve) => setTimeout(resolve, 30))
    return 'value'
  }
  const processes = Array.from({ length: 5 }, enter)
  const calls = processes.flatMap((process) => Array.from({ length: 3 }, () => process.getOrLoad(id, load)))
  const values = await Promise.all(calls)
  if (!values.every((value) => value === 'value')) throw new Error(`got ${values.join(', ')}`)
  return loads
}
