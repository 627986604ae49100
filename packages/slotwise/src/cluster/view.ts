/** One line of `CLUSTER NODES`: what one node believes of another, or of itself. */
export interface NodeLine {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly busPort: number
  readonly flags: readonly string[]
  /** Id of the primary it follows. */
  readonly primary: string | undefined
  readonly epoch: number
  readonly connected: boolean
  readonly slots: readonly SlotRange[]
  /** Slots on their way; a node says so of itself only. */
  readonly open: readonly OpenSlot[]
}

/** A slot that a node gives away (`migrating`) or takes over (`importing`). */
export interface OpenSlot {
  readonly slot: number
  readonly state: 'migrating' | 'importing'
  /** Id of the node at the other end. */
  readonly peer: string
}

/** First and last slot, both included. */
export type SlotRange = readonly [first: number, last: number]

/** Reads the answer to `CLUSTER NODES`. Slots that are being moved count for who owns them still. */
export function parseNodes(text: string): readonly NodeLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id = '', address = '', flags = '', primary = '-', , , epoch = '0', link = '', ...slots] =
        line.split(' ')
      // 127.0.0.1:7000@17000,hostname — an IPv6 address comes without brackets.
      const [, host = '', port = '0', busPort = '0'] = /^(.*):(\d+)@(\d+)/.exec(address) ?? []
      return {
        id,
        host,
        port: Number(port),
        busPort: Number(busPort),
        flags: flags.split(','),
        primary: primary === '-' ? undefined : primary,
        epoch: Number(epoch),
        connected: link === 'connected',
        slots: slots.filter((slot) => !slot.startsWith('[')).map(parseRange),
        open: slots.filter((slot) => slot.startsWith('[')).flatMap(parseOpen),
      }
    })
}

function parseRange(text: string): SlotRange {
  const [first = 0, last = first] = text.split('-').map(Number)
  return [first, last]
}

/** `[93->-id]` is given away, `[93-<-id]` taken over. */
function parseOpen(text: string): OpenSlot[] {
  const [, slot, way, peer] = /^\[(\d+)-([<>])-([0-9a-f]+)\]$/.exec(text) ?? []
  if (slot === undefined || peer === undefined) return []
  return [{ slot: Number(slot), state: way === '>' ? 'migrating' : 'importing', peer }]
}

/** A node as it stands now, by its own account. */
export interface NodeView {
  /** Where we reach it, which need not be what it calls itself. */
  readonly host: string
  readonly port: number
  readonly node: string
  /** Where the other nodes reach it. */
  readonly meetAt: { readonly host: string; readonly port: number; readonly busPort: number }
  readonly self: NodeLine
  /** The others it knows, nodes it only shakes hands with left out. */
  readonly others: ReadonlyMap<string, NodeLine>
  readonly keys: number
  /** `cluster_state:ok` */
  readonly ok: boolean
  /** A replica whose link to its primary stands, or a primary. */
  readonly linked: boolean
}

/** How many slots the ranges hold. */
export function slotCount(ranges: readonly SlotRange[]): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
}

/** Whether a node calls the slot its own. */
export function owns({ self }: NodeView, slot: number): boolean {
  return self.slots.some(([first, last]) => slot >= first && slot <= last)
}

/** Every slot of the ranges. */
export function slotsOf(ranges: readonly SlotRange[]): number[] {
  return ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
}
