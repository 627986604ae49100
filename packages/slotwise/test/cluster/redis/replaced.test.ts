import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { OutcomeUnknownError, RedisUnavailableError } from '../../../src/errors.js'
import { type CommandCall, keyOf, type RedisPort, type ScriptCall, slotOf } from '../../../src/redis/index.js'
import { ADAPTERS } from '../../support/adapters.js'
import { certainError } from '../../support/certain.js'
import { ScriptedCluster, type ScriptedNode } from '../../support/scripted-cluster.js'

const space = { namespace: '', pattern: 'test', name: 'replaced' }
const key = keyOf(space, 'a')
const readOf = (what: string) =>
  ({ key, command: ['HGET', key, what], repeat: 'safe' }) as const satisfies CommandCall

const isRead = (line: string) => /^hget /i.test(line)

const script = { name: 'test', source: 'return 1', sha1: 'a'.repeat(40), keys: [], args: ['what'] }
const scriptOf = (what: string) =>
  ({ script, keys: [key], args: [what], repeat: 'safe' }) as const satisfies ScriptCall

const isScript = (line: string) => /^eval/i.test(line)
const UNKNOWN_SCRIPT = new Error('NOSCRIPT No matching script. Please use EVAL.')

const NODE_TIMEOUT_MS = 600
/** A node that was silent for so long may have been replaced. */
const SILENT_MS = NODE_TIMEOUT_MS / 2 + 100

/** This whole process stands still, and its clock goes on. */
function standStill(ms = SILENT_MS): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** Something to wait for until it is opened. */
function door() {
  let open: () => void = () => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open: () => open() }
}

describe.each(ADAPTERS)('over %s, a primary that does not know that it was replaced', (_, connect) => {
  let cluster: ScriptedCluster
  let port: RedisPort
  let old: ScriptedNode
  let taker: ScriptedNode
  const start = async (count: number) => {
    cluster = await ScriptedCluster.start(...Array.from({ length: count }, () => 'none' as const))
    // Looks come only when the port asks for them itself.
    const options = { nodeTimeoutMs: NODE_TIMEOUT_MS, topologyRefreshMs: 60_000 }
    port = await connect({ ...options, nodes: cluster.addresses, retryBackoffMs: { min: 1, max: 4 } })
    const known = cluster.nodes.find((node) => node.owned.has(slotOf(key)))
    const other = cluster.nodes.find((node) => node !== known)
    expect.assert(known !== undefined && other !== undefined)
    ;[old, taker] = [known, other]
    for (const [node, value] of [
      [old, 'old'],
      [taker, 'new'],
    ] as const)
      node.instead = (line) => (isRead(line) ? value : undefined)
  }
  beforeEach(() => start(3))
  const stop = async () => {
    await port.close()
    await cluster[Symbol.asyncDispose]()
  }
  afterEach(stop)

  const takeOver = () => {
    cluster.assign([...old.owned], taker.id)
    taker.epoch = ++cluster.epochKnown
  }
  /** Neither of those two. */
  const third = () => {
    const node = cluster.nodes.find((one) => one !== old && one !== taker)
    expect.assert(node !== undefined)
    return node
  }
  const readInBorrowed = (what: string) =>
    port.borrow({ key }, (connection) => connection.call(readOf(what).command))

  it('is not believed for an answer of before, which lay in the socket while this process stood still', async () => {
    const hangs = door()
    let late: Promise<unknown> | undefined
    old.instead = (line) => {
      if (!isRead(line)) return undefined
      if (late !== undefined) return 'old'
      standStill()
      takeOver()
      old.gate = () => hangs.opened
      late = port.call(readOf('late'))
      return 'old'
    }
    const asked = taker.asked('CLUSTER NODES')
    expect(await port.call(readOf('early'))).toBe('new')
    // It hangs still, and is no witness that the others would have to wait for.
    expect(taker.asked('CLUSTER NODES') - asked).toBeLessThan(6)
    hangs.open()
    expect(await late).toBe('new')
  })

  it('is doubted again by its silence, which that answer did not end', async () => {
    const hangs = door()
    let isStill = false
    old.instead = (line) => {
      if (!isRead(line)) return undefined
      if (isStill) return 'old'
      isStill = true
      standStill()
      old.gate = () => hangs.opened
      return 'old'
    }
    // It is the owner still when the others are asked.
    expect(await port.call(readOf('early'))).toBe('old')
    const late = port.call(readOf('late'))
    await sleep(20)
    takeOver()
    hangs.open()
    expect(await late).toBe('new')
  })

  /** How a read ends whose answer does not count: it is repeated where that is for the port to do. */
  const readings = [
    ['a call', (what: string) => port.call(readOf(what)), 'new'],
    ['a call on a connection of its own', readInBorrowed, expect.any(OutcomeUnknownError)],
  ] as const

  it.each(readings)(
    'is not believed for what was asked before the others were, however late it answers %s',
    async (_what, read, expected) => {
      // A connection of its own that is there.
      expect(await read('first')).toBe('old')
      const [hangs, latest] = [door(), door()]
      old.gate = (line) => (line.endsWith('late') ? latest.opened : hangs.opened)
      standStill()
      const early = port.call(readOf('early'))
      const late = read('late').catch((error: unknown) => error)
      takeOver()
      await sleep(20)
      hangs.open()
      expect(await early).toBe('new')
      latest.open()
      expect(await late).toEqual(expected)
    },
  )

  describe.each([
    ['a call', (what: string) => port.call(readOf(what))],
    ['a call on a connection of its own', (what: string) => port.call(readOf(what), { dedicated: true })],
    ['a script that it does not know', (what: string) => port.call(scriptOf(what))],
    [
      'a script that it does not know on a connection of its own',
      (what: string) => port.call(scriptOf(what), { dedicated: true }),
    ],
  ])('as the target of a half-moved slot, for %s', (_what, ask) => {
    const roles = () => port.topology().nodes.map(({ role }) => role)
    /** Asks it as such, and has it answer when another has taken its place and others have been asked. */
    const isReplacedMeanwhile = async (target: ScriptedNode, replace: () => Promise<void>) => {
      const latest = door()
      let isMoving = true
      let asked = false
      old.instead = (line) => {
        if (!isRead(line) && !isScript(line)) return undefined
        return isMoving ? new Error(`ASK ${slotOf(key)} 127.0.0.1:${target.port}`) : 'source'
      }
      target.instead = (line) => {
        if (/^evalsha/i.test(line)) return UNKNOWN_SCRIPT
        if (isRead(line) || isScript(line)) return 'target'
        return /^asking/i.test(line) ? { ok: 'OK' } : undefined
      }
      target.gate = (line) => {
        if (!line.endsWith('late')) return undefined
        asked = true
        return latest.opened
      }
      expect(await ask('early')).toBe('target')
      const late = ask('late')
      await vi.waitFor(() => expect(asked).toBe(true), { interval: 1 })
      isMoving = false
      await replace()
      latest.open()
      expect(await late).toBe('source')
    }
    it('is not believed when it is listed as a replica', async () => {
      const target = third()
      await isReplacedMeanwhile(target, async () => {
        target.follows = taker
        standStill()
        await vi.waitFor(() => expect(roles()).toContain('replica'), { interval: 1 })
      })
    })

    it('is not believed when it has not heard of it, and others list it as a primary without slots', async () => {
      const target = third()
      cluster.assign([...taker.owned], old.id)
      taker.follows = target
      standStill()
      await vi.waitFor(() => expect(roles()).toContain('replica'), { interval: 1 })
      const slots = [...target.owned]
      await isReplacedMeanwhile(target, async () => {
        taker.follows = undefined
        cluster.assign(slots, taker.id)
        taker.epoch = ++cluster.epochKnown
        standStill()
        const owner = () => port.topology().ownerOf(slots[0] ?? 0)?.id
        await vi.waitFor(() => expect(owner()).toBe(taker.id), { interval: 1 })
      })
    })
  })

  it('is not asked as the target of a half-moved slot, whatever the source says, for as long as it is known for a replica', async () => {
    const target = third()
    const redirection = new Error(`ASK ${slotOf(key)} 127.0.0.1:${target.port}`)
    old.instead = (line) => (isRead(line) ? redirection : undefined)
    target.instead = (line) => {
      if (isRead(line)) return 'target'
      return /^asking/i.test(line) ? { ok: 'OK' } : undefined
    }
    const asked = (node: ScriptedNode, name: string) => node.asked(name) + node.asked(name.toUpperCase())
    const roles = () => port.topology().nodes.map(({ role }) => role)
    for (const how of [{}, { dedicated: true }]) {
      const before = asked(target, 'asking')
      target.follows = taker
      standStill()
      await vi.waitFor(() => expect(roles()).toContain('replica'), { interval: 1 })
      const reads = asked(old, 'hget')
      const call = port.call({ ...readOf('call'), repeat: 'unsafe' }, how)
      await vi.waitFor(() => expect(asked(old, 'hget')).toBeGreaterThan(reads + 6))
      expect(asked(target, 'asking')).toBe(before)
      target.follows = undefined
      expect(await call).toBe('target')
    }
  })

  it('is asked as the target of a half-moved slot once it is reached again, however often that was tried in vain', async () => {
    const target = third()
    const redirection = new Error(`ASK ${slotOf(key)} 127.0.0.1:${target.port}`)
    let reads = 0
    old.instead = (line) => {
      if (!isRead(line)) return undefined
      reads++
      return redirection
    }
    const hangs = door()
    target.instead = (line) => {
      if (isRead(line)) return 'target'
      return /^asking/i.test(line) ? { ok: 'OK' } : undefined
    }
    target.gate = () => hangs.opened
    target.cutConnections()
    await sleep(20)
    const call = port.call({ ...readOf('call'), repeat: 'unsafe' })
    await vi.waitFor(() => expect(reads).toBeGreaterThan(6))
    hangs.open()
    expect(await call).toBe('target')
  })

  it('is not said to have perhaps executed what it refused, where no time is left to go elsewhere', async () => {
    old.instead = (line) =>
      isRead(line) ? new Error(`MOVED ${slotOf(key)} 127.0.0.1:${taker.port}`) : undefined
    // Where the timer below is late, its answer is still owed at the deadline.
    const error = await certainError(async () => {
      const hangs = door()
      old.gate = (line) => (isRead(line) ? hangs.opened : undefined)
      const late = sleep(985).then(hangs.open)
      try {
        await port.call({ ...readOf('call'), repeat: 'unsafe' }, { deadlineMs: 1000 })
      } finally {
        await late
      }
    })
    expect(error).toBeInstanceOf(RedisUnavailableError)
  })

  it.each(
    readings.flatMap(([what, read, expected]) => [
      { what, read, expected, how: 'was suspended', suspendedMs: SILENT_MS, stillMs: 0 },
      { what, read, expected, how: 'was suspended and stood still', suspendedMs: 240, stillMs: 240 },
    ]),
  )(
    'is not believed for $what when this machine $how: of a suspension only the wall clock tells',
    async (given) => {
      const { read, expected, suspendedMs, stillMs } = given
      expect(await read('first')).toBe('old')
      const wallMs = Date.now
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => wallMs() + suspendedMs)
      try {
        takeOver()
        standStill(stillMs)
        expect(await read('late').catch((error: unknown) => error)).toEqual(expected)
      } finally {
        clock.mockRestore()
      }
    },
  )

  it('is not believed on a connection that was lent before, nor on one that was opened meanwhile', async () => {
    const setUp = door()
    let opening = false
    await port.borrow({ key }, async (connection) => {
      expect(await connection.call(readOf('first').command)).toBe('old')
      old.gate = (line) => {
        if (!/^client setname/i.test(line)) return undefined
        opening = true
        return setUp.opened
      }
      const opened = port.call(readOf('opened'), { dedicated: true })
      await vi.waitFor(() => expect(opening).toBe(true), { interval: 1 })
      takeOver()
      standStill()
      await vi.waitFor(() => expect(port.topology().ownerOf(slotOf(key))?.id).toBe(taker.id), { interval: 1 })
      setUp.open()
      expect(await opened).toBe('new')
      await expect(connection.call(readOf('lent').command)).rejects.toThrow(OutcomeUnknownError)
    })
  })

  it('is not sent the text of a script that it does not know, once another serves the slot', async () => {
    const hangs = door()
    const latest = door()
    taker.instead = (line) => (isRead(line) || isScript(line) ? 'new' : undefined)
    old.instead = (line) => {
      if (/^evalsha/i.test(line)) return UNKNOWN_SCRIPT
      return isRead(line) || isScript(line) ? 'old' : undefined
    }
    old.gate = (line) => (isScript(line) ? latest.opened : hangs.opened)
    standStill()
    const early = port.call(readOf('early'))
    const late = port.call(scriptOf('late'))
    takeOver()
    await sleep(20)
    hangs.open()
    expect(await early).toBe('new')
    latest.open()
    expect(await late).toBe('new')
  })

  it('is believed that it has handed a slot over, so that what it did not do is done where the slot is', async () => {
    const [hangs, latest] = [door(), door()]
    let waits = false
    old.gate = (line) => {
      if (!isRead(line)) return undefined
      waits ||= line.endsWith('late')
      return line.endsWith('late') ? latest.opened : hangs.opened
    }
    const late = port.call({ ...readOf('late'), repeat: 'unsafe' }, { dedicated: true })
    await vi.waitFor(() => expect(waits).toBe(true), { interval: 1 })
    standStill()
    const early = port.call(readOf('early'))
    takeOver()
    hangs.open()
    expect(await early).toBe('new')
    old.instead = (line) =>
      isRead(line) ? new Error(`MOVED ${slotOf(key)} 127.0.0.1:${taker.port}`) : undefined
    latest.open()
    expect(await late).toBe('new')
  })

  it('is not believed for what it answers after a silence, nor before the others are asked', async () => {
    const hangs = door()
    old.gate = () => hangs.opened
    const call = port.call(readOf('call'))
    takeOver()
    await sleep(SILENT_MS)
    hangs.open()
    expect(await call).toBe('new')
  })

  it('is not believed, and its answers are not kept, once the others do not list it any more', async () => {
    // A look asks three, and it is hardly ever among them.
    await stop()
    await start(9)
    const hangs = door()
    old.gate = () => hangs.opened
    const call = port.call(readOf('call'))
    takeOver()
    await sleep(SILENT_MS)
    old.isKnown = false
    hangs.open()
    expect(await call).toBe('new')
  })

  it('is not believed on the word of a server that has been reset, and knows none of the nodes', async () => {
    const [hangs, asked] = [door(), door()]
    const other = third()
    const own = `${'e'.repeat(40)} 127.0.0.1:${other.port}@1 myself,master - 0 0 0 connected\n`
    let looks = 0
    other.instead = (line) => {
      if (!/^cluster nodes/i.test(line)) return undefined
      looks++
      return own
    }
    taker.gate = (line) => (/^cluster nodes/i.test(line) ? asked.opened : undefined)
    old.gate = () => hangs.opened
    let answer: unknown
    const call = port.call(readOf('call'), { deadlineMs: 10_000 }).then((value) => (answer = value))
    await sleep(SILENT_MS)
    takeOver()
    hangs.open()
    // Twice: what is believed is so after the first.
    await vi.waitFor(() => expect(looks).toBeGreaterThan(1), { timeout: 5000 })
    expect(answer).toBeUndefined()
    asked.open()
    expect(await call).toBe('new')
  })
})
