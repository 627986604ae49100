import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { connect } from '../../../slotwise/src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../slotwise/src/local/index.js'
import { Locks } from '../../../slotwise/src/lock/index.js'
import { keyOf, type RedisPort, slotOf } from '../../../slotwise/src/redis/index.js'
import { type BareServers, startBareServers } from '../../../slotwise/test/support/bare-servers.js'
import { upFor } from '../../../slotwise/test/support/up-for.js'
import { json, slotwise, start } from '../support/slotwise.js'

let cluster: LocalCluster
let spare: BareServers
let env: Readonly<Record<string, string>>
let newcomer: string

/** Nobody is elected here because the machine is busy, though what changes is told about soon. */
const NODE_TIMEOUT_MS = 2000

beforeAll(async () => {
  ;[cluster, spare] = await Promise.all([
    startLocalCluster({
      nodeTimeoutMs: NODE_TIMEOUT_MS,
      config: { 'cluster-replica-no-failover': 'yes' },
    }),
    startBareServers(2, { 'cluster-node-timeout': String(NODE_TIMEOUT_MS) }),
  ])
  env = { SLOTWISE_NODES: cluster.connectOptions.nodes[0] ?? '' }
  newcomer = spare.nodes[0] ?? ''
}, 60_000)
afterAll(() => Promise.all([cluster.stop(), spare[Symbol.asyncDispose]()]))

interface Info {
  readonly nodes: readonly {
    readonly address: string
    readonly role: string
    readonly slots: readonly (readonly [number, number])[]
  }[]
}
const info = async () => (await json(['info'], { env })).document as Info
const slotsOf = async (node: string) =>
  (await info()).nodes
    .filter(({ address }) => address === node)
    .flatMap(({ slots }) => slots)
    .reduce((sum, [first, last]) => sum + last - first + 1, 0)

describe('a cluster that grows and shrinks', { timeout: 120_000 }, () => {
  it('takes a node in, once', async () => {
    const dry = await slotwise(['add-node', newcomer, '--dry-run'], { env })
    expect(dry).toMatchObject({ code: 0, stdout: `${newcomer} would become a primary. Nothing was done.\n` })
    const added = await json(['add-node', newcomer], { env })
    expect(added).toMatchObject({
      code: 0,
      document: { command: 'add-node', changed: true, role: 'primary' },
    })
    const again = await slotwise(['add-node', newcomer], { env })
    expect(again).toMatchObject({
      code: 0,
      stdout: `${newcomer} belongs to the cluster already, as a primary.\n`,
    })
  })

  it('gives it a replica', async () => {
    const [, replica = ''] = spare.nodes
    await slotwise(['move-slots', '--to', newcomer, '--slots', '1'], { env })
    const { code, stdout } = await slotwise(['add-node', replica, '--replica-of', newcomer], { env })
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${replica} is a replica of ${newcomer} now.\n` })
    const removed = await slotwise(['remove-node', replica], { env })
    expect(removed).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('is an empty server now') as string,
    })
  })

  it('moves the slots that were named, or as many', async () => {
    const args = ['move-slots', '--to', newcomer]
    const dry = await slotwise([...args, '--slots', '0-9,20-20', '--dry-run'], { env })
    expect(dry.stdout).toMatch(/ 11 +0-9, 20\n\n11 slots would be moved\. Nothing was done\.\n$/)
    const before = await slotsOf(newcomer)
    const moved = await json([...args, '--slots', '0-9,20-20'], { env })
    expect(moved).toMatchObject({
      code: 0,
      document: { command: 'move-slots', slotsMoved: 11, dryRun: false },
    })
    expect(await slotsOf(newcomer)).toBe(before + 11)
    expect((await slotwise([...args, '--slots', '0-9,20-20'], { env })).stdout).toBe(
      'Nothing had to be moved.\n',
    )
  })

  it('is rebalanced, killed half way as often as may be, and goes on from there without a key lost', async () => {
    await using port = await connect({ ...cluster.connectOptions })
    const keys = Array.from({ length: 5000 }, (_, i) =>
      keyOf({ namespace: '', pattern: 'killed', name: 'k' }, [i]),
    )
    const reads = keys.map((key) => ({ key, command: ['GET', key], repeat: 'safe' }) as const)
    const present = async () =>
      (await port.pipeline(reads)).filter((one) => one.status === 'fulfilled' && one.value === '1').length
    await port.pipeline(keys.map((key) => ({ key, command: ['SET', key, 1] })))
    for (let i = 1; i <= 3; i++) {
      const running = start(['rebalance'], { env })
      await running.until(/moving slots from .*, slots \d+\/\d+/)
      await sleep(20 * i)
      running.child.kill('SIGKILL')
      expect((await running.ended).code).toBeNull()
      expect(await present()).toBe(keys.length)
    }
    expect(await slotsOf(newcomer)).toBeLessThan(4096)
    expect((await slotwise(['rebalance'], { env })).code).toBe(0)
    expect(await slotsOf(newcomer)).toBe(4096)
    expect(await present()).toBe(keys.length)
    expect((await slotwise(['rebalance', '--weight', `${newcomer}=0.1`], { env })).code).toBe(0)
    expect(await present()).toBe(keys.length)
  })

  it('is rebalanced, stopped between two steps, and goes on from there', async () => {
    const running = start(['rebalance'], { env })
    await running.until(/moving slots from .*, slots \d+\/\d+/)
    running.child.kill('SIGINT')
    const stopped = await running.ended
    expect(stopped).toMatchObject({ code: 130, stdout: '' })
    expect(stopped.stderr).toMatch(/Stopped between two steps; .* running it again goes on from there\.\n$/)
    const part = await slotsOf(newcomer)
    expect(part).toBeLessThan(4096)
    const rest = await json(['rebalance'], { env })
    expect(rest).toMatchObject({ code: 0, document: { command: 'rebalance' } })
    expect((rest.document as { slotsMoved: number }).slotsMoved).toBeLessThanOrEqual(4096 - part)
    expect(await slotsOf(newcomer)).toBe(4096)
    expect((await slotwise(['rebalance'], { env })).stdout).toBe('Nothing had to be moved.\n')
    const weighed = await slotwise(['rebalance', '--weight', `${newcomer}=0`, '--dry-run'], { env })
    expect(weighed.stdout).toContain('4,096 slots would be moved')
  })

  it('lets it go again', async () => {
    const dry = await slotwise(['remove-node', newcomer, '--dry-run'], { env })
    expect(dry).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('would leave the cluster.') as string,
    })
    const { code, document } = await json(['remove-node', newcomer], { env })
    expect({ code, document }).toMatchObject({
      code: 0,
      document: { command: 'remove-node', slotsMoved: 4096 },
    })
    expect((await info()).nodes).toHaveLength(6)
    const again = await slotwise(['remove-node', newcomer], { env })
    expect(again).toMatchObject({ code: 0, stdout: `${newcomer} has left the cluster already.\n` })
    expect(await json(['remove-node', newcomer], { env })).toMatchObject({
      code: 0,
      document: { node: null, slotsMoved: 0 },
    })
  })

  it('refuses what a cluster of three primaries does not allow, with 1: the command line is right', async () => {
    const primary = (await info()).nodes.find(({ role }) => role === 'primary')?.address ?? ''
    const few = await json(['remove-node', primary], { env })
    expect(few).toMatchObject({ code: 1, document: { error: { code: 'IMPOSSIBLE_CHANGE', exitCode: 1 } } })
    const role = await slotwise(['add-node', primary, '--replica'], { env })
    expect(role).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('belongs to this cluster') as string,
    })
  })

  it('refuses a stranger that holds data, which ends with 1', async () => {
    const [client] = spare.clients
    await client?.call(['CLUSTER', 'ADDSLOTSRANGE', 0, 16_383])
    const { code, stderr } = await slotwise(['add-node', newcomer], { env })
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Nothing was changed') as string,
    })
    await spare.reset()
  })
})

describe('locks', { timeout: 120_000 }, () => {
  const name = 'ops'
  const MAX_TTL_MS = 3000
  const spaces = ['', 'shop', 'office']
  let ports: readonly RedisPort[]
  let all: readonly Locks[]
  beforeAll(async () => {
    const { nodes } = cluster.connectOptions
    ports = await Promise.all(spaces.map((namespace) => connect({ nodes, namespace })))
    await upFor(ports[0] as RedisPort, MAX_TTL_MS / 1000)
    all = ports.map((port) => new Locks(port, { name, maxTtlMs: MAX_TTL_MS }))
  })
  afterAll(() => Promise.all(ports.map((port) => port.close())))

  const slotFor = (namespace: string, resource: string) =>
    slotOf(keyOf({ namespace, pattern: 'lock', name }, resource))
  /** Of every namespace, who was granted its lock at once. */
  const granted = (resources: readonly string[]) =>
    Promise.all(
      all.map(async (locks, i) => {
        const outcome = await locks.tryAcquire(resources[i] ?? '', { ttlMs: 1000 })
        if (outcome.acquired) await outcome.lock.release()
        return outcome.acquired ? 'granted' : outcome.reason
      }),
    )
  const ownerOf = (slot: number) => ports[0]?.topology().ownerOf(slot)
  const addressed = (node: { readonly host: string; readonly port: number } | undefined) =>
    `${node?.host}:${node?.port}`
  const followed = (slot: number, before: string) =>
    Promise.all(
      ports.map((port) =>
        vi.waitFor(() => expect(addressed(port.topology().ownerOf(slot))).not.toBe(before), 10_000),
      ),
    )
  /** Of each namespace a resource in the same slot. */
  const together = spaces.map((namespace) => {
    for (let i = 0; ; i++) if (slotFor(namespace, `r${i}`) === 0) return `r${i}`
  })
  const all3 = ['granted', 'granted', 'granted']

  it('of slots that were moved are given at once, in every namespace, without being asked to', async () => {
    expect(await granted(together)).toEqual(all3)
    const from = addressed(ownerOf(0))
    const to = (await info()).nodes.find(({ role, address }) => role === 'primary' && address !== from)
    const moved = await slotwise(['move-slots', '--to', to?.address ?? '', '--slots', '0-0'], { env })
    expect(moved).toMatchObject({ code: 0, stderr: expect.not.stringContaining('Warning') as string })
    await followed(0, from)
    expect(await granted(together)).toEqual(all3)
    const balanced = await slotwise(['rebalance'], { env })
    expect(balanced).toMatchObject({ code: 0, stderr: expect.not.stringContaining('Warning') as string })
    expect(await granted(together)).toEqual(all3)
  })

  it('are given at once after a failover', async () => {
    expect(await granted(together)).toEqual(all3)
    const from = addressed(ownerOf(0))
    const done = await slotwise(['failover', '--from', from], { env })
    expect(done).toMatchObject({ code: 0, stderr: expect.not.stringContaining('Warning') as string })
    await followed(0, from)
    expect(await granted(together)).toEqual(all3)
  })

  it('do not keep a move from being done by somebody who may not write', async () => {
    expect(await granted(together)).toEqual(all3)
    const admin = ports[0] as RedisPort
    const answers = await Promise.all(
      admin
        .topology()
        .nodes.map(({ id }) =>
          admin.onNode(id, [
            'ACL',
            'SETUSER',
            'mover',
            'on',
            '>word',
            '+@all',
            '-eval',
            '-evalsha',
            '~*',
            '&*',
          ]),
        ),
    )
    expect(new Set(answers)).toEqual(new Set(['OK']))
    const from = addressed(ownerOf(0))
    const to = (await info()).nodes.find(({ role, address }) => role === 'primary' && address !== from)
    const words = ['move-slots', '--to', to?.address ?? '', '--slots', '0-0', '--user', 'mover']
    const moved = await slotwise(words, { env: { ...env, SLOTWISE_PASSWORD: 'word' } })
    expect(moved).toMatchObject({ code: 0, stdout: expect.stringContaining('Moved 1 slot') as string })
    expect(moved.stderr).toMatch(
      /Warning: locks of 1 slot, if there are any, may be given while they are held, .*NOPERM/,
    )
    expect(moved.stderr).toMatch(/Warning: locks of 1 slot, if there are any, are given again after .*NOPERM/)
    await followed(0, from)
    expect(await granted(together)).toEqual(['quarantined', 'quarantined', 'quarantined'])
  })
})

describe('failing over', () => {
  it('lets the replica of a primary take its place, and says so', async () => {
    const primary = (await info()).nodes.find(({ role }) => role === 'primary')?.address ?? ''
    const { code, stdout } = await slotwise(['failover', '--from', primary], { env })
    expect(code).toBe(0)
    expect(stdout).toMatch(
      new RegExp(`^127.* has taken the place of ${primary}, in .*\\. Nothing was lost\\.\n$`),
    )
    const again = await json(['failover', '--from', primary], { env })
    expect(again).toMatchObject({ code: 0, document: { command: 'failover', changed: false, from: null } })
  })

  it('without asking the others only when it is confirmed', async () => {
    const replica = (await info()).nodes.find(({ role }) => role === 'replica')?.address ?? ''
    const args = ['failover', '--to', replica, '--takeover']
    const silent = await slotwise(args, { env })
    expect(silent).toMatchObject({ code: 1, stdout: '' })
    expect(silent.stderr).toMatch(/what it has not received is lost\. Go on\? \[y\/N\] .*give --yes/)
    expect(await slotwise(args, { env, input: 'no\n' })).toMatchObject({ code: 1 })
    expect((await info()).nodes.find(({ address }) => address === replica)?.role).toBe('replica')
    const agreed = await slotwise(args, { env, input: 'y\n' })
    expect(agreed).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('What it had not received is lost') as string,
    })
    expect((await json([...args, '--yes'], { env })).document).toMatchObject({ changed: false })
  })
})
