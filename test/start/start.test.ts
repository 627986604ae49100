import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { firstTenant, like, readThread, threads, writeComment } from './support/api.js'
import { copyTree, isListening, ordinaryUser, portsOf, Start, type State, type Tree } from './support/tree.js'

/** From the signal to the last process and port. */
const GONE_MS = 5000
/** Twice what is promised on a quiet machine; the figure itself is printed. */
const WARM_MS = 10_000

let tree: Tree & AsyncDisposable
let start: Start | undefined

beforeAll(async () => {
  tree = await copyTree()
})
afterEach(async () => {
  for (const pid of start?.processes() ?? []) process.kill(pid, 'SIGKILL')
})
afterAll(() => tree[Symbol.asyncDispose]())

function begin(flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}, where: Tree = tree): Start {
  start = new Start(where, flags, env)
  return start
}

/** Nothing that came of the start lives, and nobody listens where it listened. */
async function nothingLeft(of: Start, state?: State): Promise<void> {
  const ended = performance.now()
  for (;;) {
    const processes = of.processes()
    const open = state === undefined ? [] : await Promise.all(portsOf(state).map(isListening))
    if (processes.length === 0 && !open.includes(true)) break
    if (performance.now() - ended > GONE_MS) {
      throw new Error(`still there: processes ${processes.join(', ')}, ports ${open.join(', ')}`)
    }
    await sleep(50)
  }
  console.log(`nothing left after ${Math.round(performance.now() - ended)} ms`)
}

it('comes up from nothing, serves threads, takes comments and likes, and ends at Ctrl-C with a node paused', async () => {
  const began = performance.now()
  const up = begin()
  const state = await up.up()
  console.log(`cold start after ${Math.round(performance.now() - began)} ms`)
  for (const port of portsOf(state)) expect(up.said).toContain(String(port))
  expect(up.said).toContain(tree.root)

  const tenant = await firstTenant(state.url)
  const [thread] = await threads(state.url, tenant)
  expect.assert(thread !== undefined)
  const written = await writeComment(state.url, tenant, thread.id, 'The first of the newcomer')
  expect(await readThread(state.url, tenant, thread.id)).toContain('The first of the newcomer')
  expect(await like(state.url, tenant, written.id)).toEqual({ likes: 1, alreadyLiked: false })
  expect(await like(state.url, tenant, written.id)).toEqual({ likes: 1, alreadyLiked: true })

  process.kill(up.redis(0), 'SIGSTOP')
  process.kill(-(up.npm.pid ?? 0), 'SIGINT')
  await nothingLeft(up, state)
})

describe.each([
  ['npm', 'SIGINT'],
  ['npm', 'SIGTERM'],
  ['npm', 'SIGHUP'],
  ['npm', 'SIGKILL'],
  ['script', 'SIGINT'],
  ['script', 'SIGTERM'],
  ['script', 'SIGHUP'],
  ['script', 'SIGKILL'],
] as const)('a second start, whose %s gets %s', (whom, signal) => {
  it('finds the data of the first, and leaves nothing behind though a node is paused', async () => {
    const began = performance.now()
    const up = begin()
    const state = await up.up()
    const took = performance.now() - began
    console.log(`warm start after ${Math.round(took)} ms`)
    expect(took).toBeLessThan(WARM_MS)

    const tenant = await firstTenant(state.url)
    const [thread] = await threads(state.url, tenant)
    expect(await readThread(state.url, tenant, thread?.id ?? '')).toContain('The first of the newcomer')

    process.kill(up.redis(signal.length % state.redisNodes.length), 'SIGSTOP')
    process.kill(whom === 'npm' ? (up.npm.pid ?? 0) : up.script, signal)
    await nothingLeft(up, state)
  })
})

describe('while one runs', () => {
  it('another in the same clone says so, one of an ordinary user elsewhere moves to free ports, and one can share its servers', async () => {
    const up = begin()
    const state = await up.up()
    const second = new Start(tree)
    expect(await second.exited).not.toBe(0)
    expect(second.said).toMatch(/already running here, as process \d+/)
    expect(second.said).not.toMatch(/^\s+at /m)
    expect((await threads(state.url, await firstTenant(state.url))).length).toBeGreaterThan(0)

    // An ordinary user, in a clone of its own, on the ports that are left.
    await using other = await copyTree(tree.root, { keep: ['node_modules'], user: ordinaryUser() })
    const elsewhere = new Start(other, ['--no-sample'])
    try {
      const moved = await elsewhere.up()
      expect(elsewhere.said).toMatch(/on port \d+, since 8080 is taken/)
      expect(new Set([...portsOf(state), ...portsOf(moved)])).toHaveProperty('size', 16)
      expect(elsewhere.said).toContain('0 tenants')
      process.kill(elsewhere.script, 'SIGTERM')
      await nothingLeft(elsewhere, moved)
    } finally {
      for (const pid of elsewhere.processes()) process.kill(pid, 'SIGKILL')
    }

    // Or on the servers that somebody has: it starts none, and ends none.
    const servers = ['--redis', state.redisNodes.join(',')]
    const guest = new Start(other, servers, { DATABASE_URL: state.databaseUrl })
    try {
      const { url, redisNodes, databaseUrl } = await guest.up()
      expect([redisNodes, databaseUrl]).toEqual([state.redisNodes, state.databaseUrl])
      expect(guest.said).toContain('3 tenants')
      expect((await threads(url, await firstTenant(url))).length).toBeGreaterThan(0)
      process.kill(guest.script, 'SIGTERM')
      await nothingLeft(guest)
    } finally {
      for (const pid of guest.processes()) process.kill(pid, 'SIGKILL')
    }
    expect((await threads(state.url, await firstTenant(state.url))).length).toBeGreaterThan(0)
    process.kill(up.script, 'SIGTERM')
    await nothingLeft(up, state)
  })
})

describe('--data', () => {
  it('brings every dump in the folders as a tenant, instead of the sample, and brings none twice', async () => {
    for (const [site, text] of [
      ['blue.example', 'Of blue'],
      ['red.example', 'Of red'],
    ] as const) {
      const dump = join(tree.root, 'some sites', site)
      await mkdir(dump, { recursive: true })
      const at = 'CreationDate="2020-02-29T12:00:00"'
      const lists = {
        Users: '<users><row Id="1" DisplayName="Ann"/></users>',
        Posts: `<posts><row Id="1" PostTypeId="1" Title="Why?" ${at}/><row Id="2" PostTypeId="2" ParentId="1" Body="&lt;p&gt;${text}" ${at}/></posts>`,
        Comments: '<comments/>',
        Votes: '<votes/>',
      }
      for (const [name, xml] of Object.entries(lists)) await writeFile(join(dump, `${name}.xml`), xml)
    }
    for (const [flags, sentence] of [
      [['--fresh', '--data', 'some sites'], '2 tenants, 2 threads, 2 comments'],
      [['--data', 'some sites/red.example'], '2 tenants, 2 threads, 2 comments'],
    ] as const) {
      const up = begin(flags)
      const state = await up.up()
      expect(up.said).toContain(sentence)
      const tenant = await firstTenant(state.url)
      expect(tenant.id).toBe('blue.example')
      expect(await readThread(state.url, tenant, '1')).toContain('Of blue')
      process.kill(up.script, 'SIGTERM')
      await nothingLeft(up, state)
    }
  })
})

describe('--fresh without a network, with everything cached', () => {
  it('installs from the cache and begins anew', async () => {
    await rm(join(tree.root, 'node_modules'), { recursive: true })
    const nowhere = 'http://127.0.0.1:9'
    const up = begin(['--fresh'], { https_proxy: nowhere, http_proxy: nowhere })
    const state = await up.up()
    const tenant = await firstTenant(state.url)
    const [thread] = await threads(state.url, tenant)
    expect(await readThread(state.url, tenant, thread?.id ?? '')).not.toContain('The first of the newcomer')
    process.kill(up.script, 'SIGINT')
    await nothingLeft(up, state)
    // Ended as asked, so npm has nothing to complain about.
    expect(await up.exited).toBe(0)
  })
})

describe('what cannot work is refused in one sentence', () => {
  it.each([
    [
      'a Redis that is not there',
      ['--redis', '127.0.0.1:1'],
      {},
      /No usable Redis Cluster is at 127\.0\.0\.1:1/,
    ],
    [
      'a Postgres that is not there',
      [],
      { DATABASE_URL: 'postgres://u:secret@127.0.0.1:1/x' },
      /Postgres at 127\.0\.0\.1:1\/x/,
    ],
    ['a DATABASE_URL that is none', [], { DATABASE_URL: 'nonsense' }, /DATABASE_URL must be like/],
    ['a redis-server that is none', [], { SLOTWISE_REDIS_SERVER: '/nowhere' }, /SLOTWISE_REDIS_SERVER/],
    ['an option that there is not', ['--frsh'], {}, /--frsh.*npm start -- --help/],
    ['data that is not there', ['--data', 'nowhere'], {}, /there is none at .*nowhere/],
    ['data without a dump', ['--data', 'docs'], {}, /There is no dump in/],
  ])('%s', async (_, flags, env, sentence) => {
    const refused = begin(flags, env)
    expect(await refused.exited).toBeGreaterThan(0)
    expect(refused.said).toMatch(sentence)
    expect(refused.said).not.toMatch(/^\s+at /m)
    expect(refused.said).not.toContain('secret')
    expect(refused.said.match(/^✗ .*[.;]/gm)).toHaveLength(1)
    await nothingLeft(refused)
  })
})
