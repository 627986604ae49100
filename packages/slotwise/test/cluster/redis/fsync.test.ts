import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import { refuseUnsynced } from '../../../src/redis/fsync.js'
import { keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { ADAPTERS } from '../../support/adapters.js'
import { type Answer, ScriptedCluster, type ScriptedNode } from '../../support/scripted-cluster.js'

const key = keyOf({ namespace: '', pattern: 'test', name: 'synced' }, 'a')
const write = { key, command: ['INCR', key] } as const

const settings = (appendonly: string, appendfsync: string, onRewrite = 'no') => [
  'appendonly',
  appendonly,
  'appendfsync',
  appendfsync,
  'no-appendfsync-on-rewrite',
  onRewrite,
]
const ALWAYS = settings('yes', 'always')
const DISABLED = new Error('ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.')
const FORBIDDEN = new Error('NOPERM this user has no permissions')

describe.each(ADAPTERS)('over %s, servers of made-up answers', (_, connect) => {
  let cluster: ScriptedCluster
  let port: RedisPort
  let owner: ScriptedNode
  beforeEach(async () => {
    cluster = await ScriptedCluster.start('none', 'none', 'none')
    port = await connect({ nodes: cluster.addresses, retryBackoffMs: { min: 1, max: 4 } })
    const known = cluster.nodes.find((node) => node.owned.has(slotOf(key)))
    expect.assert(known !== undefined)
    owner = known
  })
  afterEach(async () => {
    await port.close()
    await cluster[Symbol.asyncDispose]()
  })

  /** What a node says of its disk; without an answer to WAITAOF it does not know the command. */
  const says = (node: ScriptedNode, config: Answer, waited?: Answer) => {
    node.instead = (line) => {
      if (line.startsWith('INCR')) return 1
      if (line === 'CONFIG GET *append*') return config
      if (line.startsWith('WAITAOF')) return waited
      if (line === 'COMMAND INFO WAITAOF') return [waited === undefined ? null : ['waitaof', 4]]
      return line.startsWith('WAIT ') ? 1 : undefined
    }
  }
  const synced = async () => (await port.writeThenWait(write, { fsync: true })).fsynced

  it.each<[string, boolean, Answer, Answer?]>([
    ['waited until it was', true, settings('yes', 'everysec'), [1, 0]],
    ['waited in vain', false, ALWAYS, [0, 0]],
    ['keeps no log to wait for', false, settings('no', 'always'), DISABLED],
    ['cannot wait, and answers only then', true, ALWAYS],
    ['cannot wait, and syncs once a second', false, settings('yes', 'everysec')],
    ['cannot wait, and does not sync while it writes its log anew', false, settings('yes', 'always', 'yes')],
    ['cannot wait, and keeps no log', false, settings('no', 'always')],
    ['may not be asked to wait, and answers only then', true, ALWAYS, FORBIDDEN],
    ['may be asked nothing', false, FORBIDDEN, FORBIDDEN],
  ])('a write is on the disk of one that %s: %s', async (_what, is, config, waited) => {
    says(owner, config, waited)
    for (let n = 0; n < 3; n++) expect(await synced()).toBe(is)
    expect(owner.asked('INCR')).toBe(3)
  })

  it('each is asked only what it knows, once that is known, and both again after an upgrade or its reverse', async () => {
    says(owner, ALWAYS)
    for (let n = 0; n < 3; n++) await synced()
    expect([owner.asked('WAITAOF'), owner.asked('CONFIG GET *append*')]).toEqual([1, 3])
    await using other = await connect({ nodes: cluster.addresses })
    says(owner, FORBIDDEN, [1, 0])
    const through = async () => (await other.writeThenWait(write, { fsync: true })).fsynced
    for (let n = 0; n < 3; n++) expect(await through()).toBe(true)
    expect([owner.asked('WAITAOF'), owner.asked('CONFIG GET *append*')]).toEqual([4, 4])
    says(owner, ALWAYS)
    // What it was taken for is not what it is: nothing is claimed of that write.
    expect([await through(), await through()]).toEqual([false, true])
  })

  it('replicas and the disk are waited for one after the other, within the deadline', async () => {
    says(owner, ALWAYS, [1, 0])
    const both = { fsync: true, replicas: 1, deadlineMs: 900 }
    expect(await port.writeThenWait(write, both)).toEqual({ reply: 1, acknowledgedBy: 1, fsynced: true })
    const waits = owner.log.filter((line) => line.startsWith('WAIT'))
    expect(waits).toEqual(['WAIT 1 300', 'WAITAOF 1 0 300'])
  })

  it.each<[Answer, Answer?]>([
    [settings('yes', 'everysec'), [1, 0]],
    [ALWAYS, [1, 0]],
    [FORBIDDEN, [1, 0]],
    [ALWAYS],
  ])('all that can tell are let pass: %j, %j', async (config, waited) => {
    for (const node of cluster.nodes) says(node, config, waited)
    await expect(refuseUnsynced(port, 'changes')).resolves.toBeUndefined()
  })

  it.each<[string, Answer, Answer?]>([
    ['appendonly no', settings('no', 'always'), [1, 0]],
    ['appendfsync no', settings('yes', 'no'), [1, 0]],
    ['appendonly no', settings('no', 'always')],
    ['appendfsync everysec', settings('yes', 'everysec')],
    ['no-appendfsync-on-rewrite yes', settings('yes', 'always', 'yes')],
    ['refuses CONFIG GET', FORBIDDEN],
  ])('one that cannot tell is named, with its setting: %s', async (words, config, waited) => {
    for (const node of cluster.nodes) says(node, ALWAYS, [1, 0])
    says(owner, config, waited)
    const refusal: unknown = await refuseUnsynced(port, 'changes').catch((error: unknown) => error)
    expect.assert(refusal instanceof ConfigurationError)
    expect(refusal.message).toContain(words)
    expect(refusal.message).toContain(`127.0.0.1:${owner.port}`)
  })

  it('one that is away stops nobody', async () => {
    for (const node of cluster.nodes) says(node, ALWAYS)
    await owner.close()
    await expect(refuseUnsynced(port, 'changes', { deadlineMs: 300 })).resolves.toBeUndefined()
  })
})
