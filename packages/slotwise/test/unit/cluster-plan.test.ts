import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plan } from '../../src/cluster/plan.js'
import { type NodeView, parseNodes, type SlotRange, slotCount } from '../../src/cluster/view.js'
import { rounds } from '../support/budget.js'

function view(
  id: string,
  host: string,
  { slots = [], primary }: { readonly slots?: readonly SlotRange[]; readonly primary?: string } = {},
): NodeView {
  const line = { host, port: 1, busPort: 2 }
  return {
    ...line,
    node: `${host}:${id}`,
    meetAt: line,
    self: { ...line, id, flags: ['myself'], primary, epoch: 0, connected: true, slots, open: [] },
    others: new Map(),
    keys: 0,
    ok: false,
    linked: true,
  }
}

/** Which primary each replica shares its host with; none, it is hoped. */
function beside(views: readonly NodeView[], follow: ReadonlyMap<string, string>): readonly string[] {
  const hostOf = new Map(views.map(({ self, host }) => [self.id, host]))
  return [...follow].filter(([replica, primary]) => hostOf.get(replica) === hostOf.get(primary)).map(String)
}

describe('a plan', () => {
  it('gives every slot to exactly one primary, in shares that differ by one at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 3 }), (primaries, replicas) => {
        const views = Array.from({ length: primaries * (replicas + 1) }, (_, i) => view(`n${i}`, `h${i % 5}`))
        const { slots, follow } = plan(views, primaries)
        const given = [...slots.values()].flat().toSorted(([a], [b]) => a - b)
        const ends = given.map(([, last]) => last + 1)
        expect(given.map(([first]) => first)).toEqual([0, ...ends.slice(0, -1)])
        expect(ends.at(-1)).toBe(16_384)
        const shares = [...slots.values()].map(slotCount)
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
        const replicasOf = [...slots.keys()].map(
          (id) => [...follow.values()].filter((to) => to === id).length,
        )
        expect(new Set(replicasOf)).toEqual(new Set([replicas]))
      }),
      { numRuns: rounds(50, 2000) },
    )
  })

  it('puts no replica on the host of its primary where there are two hosts or more with as many nodes', () => {
    for (const hosts of [2, 3, 6]) {
      for (const order of ['grouped', 'turns'] as const) {
        const views = Array.from({ length: 6 }, (_, i) =>
          view(`n${i}`, `h${order === 'turns' ? i % hosts : Math.floor((i * hosts) / 6)}`),
        )
        const { follow } = plan(views, 3)
        expect([hosts, order, beside(views, follow)]).toEqual([hosts, order, []])
      }
    }
  })

  it('keeps what is there and adds only what is missing', () => {
    const views = [
      view('a', 'h', { slots: [[0, 5460]] }),
      view('b', 'h'),
      view('c', 'h', { slots: [[5461, 5470]] }),
      view('d', 'h', { primary: 'a' }),
      view('e', 'h'),
      view('f', 'h'),
    ]
    const { slots, follow } = plan(views, 3)
    expect(slots.has('a')).toBe(false)
    const shareOf = (id: string) => slotCount(slots.get(id) ?? [])
    expect([shareOf('b'), shareOf('c')].toSorted((x, y) => x - y)).toEqual([5451, 5462])
    expect([...follow.keys()]).toEqual(['e', 'f'])
    expect([...follow.values()].toSorted()).toEqual(['b', 'c'])
  })
})

describe('CLUSTER NODES', () => {
  it('is read with names, IPv6 addresses, single slots and slots on the move', () => {
    const text = [
      'a 10.0.0.1:7000@17000,host.example myself,master - 0 0 3 connected 0-5460 5462 [5461->-b]',
      'b 2001:db8::1:7001@17001 slave,fail? a 0 0 3 disconnected',
      'c :0@0 master,noaddr - 0 0 0 disconnected',
      '',
    ].join('\n')
    expect(parseNodes(text)).toMatchObject([
      {
        id: 'a',
        host: '10.0.0.1',
        port: 7000,
        busPort: 17_000,
        epoch: 3,
        slots: [
          [0, 5460],
          [5462, 5462],
        ],
      },
      { id: 'b', host: '2001:db8::1', port: 7001, primary: 'a', connected: false, slots: [] },
      { id: 'c', host: '', port: 0, flags: ['master', 'noaddr'] },
    ])
  })
})
