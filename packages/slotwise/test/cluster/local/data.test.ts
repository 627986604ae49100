import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import type { LocalCluster } from '../../../src/local/index.js'
import { processInfo } from '../../../src/local/process.js'
import { ask, it, ownerOf } from '../../support/local-test.js'
import { startChild } from '../../support/start-child.js'

const keys = ['a', 'b', 'c', 'd', 'e', 'f']

async function write(cluster: LocalCluster): Promise<void> {
  for (const key of keys) {
    await ask(cluster, await ownerOf(cluster, key), ['SET', key, `value of ${key}`])
  }
}

async function readAll(cluster: LocalCluster) {
  const values = keys.map(async (key) => ask(cluster, await ownerOf(cluster, key), ['GET', key]))
  return await Promise.all(values)
}

const written = keys.map((key) => `value of ${key}`)

describe.concurrent('a folder of data', () => {
  it('keeps data, nodes and roles over a restart, on the same ports', async ({ expect, start, folder }) => {
    const first = await start({ dir: folder })
    await write(first)
    const added = await first.addNode()
    const before = first.nodes.map(({ id, port }) => [id, port])
    await first.stop()
    const second = await start({ dir: folder })
    expect(second.nodes.map(({ id, port }) => [id, port])).toEqual(before)
    expect(second.nodes.at(-1)).toMatchObject({ id: added.id, role: 'primary' })
    expect(await readAll(second)).toEqual(written)
  }, 30_000)

  it('keeps data when every port has been taken by somebody else', async ({
    expect,
    start,
    folder,
    take,
  }) => {
    const first = await start({ dir: folder })
    await write(first)
    await first.stop()
    const ports = first.nodes.map(({ port }) => port)
    await take(ports)
    const second = await start({ dir: folder })
    expect(second.nodes.filter(({ port }) => ports.includes(port))).toEqual([])
    expect(await readAll(second)).toEqual(written)
  }, 30_000)

  it('keeps data when its nodes exchange their ports', async ({ expect, start, folder }) => {
    const first = await start({ dir: folder })
    await write(first)
    await first.stop()
    const file = join(folder, 'cluster.json')
    const state = JSON.parse(await readFile(file, 'utf8')) as { ports: unknown[] }
    state.ports.push(state.ports.shift())
    await writeFile(file, JSON.stringify(state))
    const second = await start({ dir: folder })
    const ports = first.nodes.map(({ port }) => port)
    expect(second.nodes.map(({ id }) => id)).toEqual(first.nodes.map(({ id }) => id))
    expect(second.nodes.map(({ port }) => port)).toEqual([...ports.slice(1), ports[0]])
    expect(await readAll(second)).toEqual(written)
  }, 30_000)

  it('waits for servers that take long to read their data', async ({ expect, start, folder }) => {
    const options = { dir: folder, replicasPerPrimary: 0 }
    const first = await start(options)
    const owner = await ownerOf(first, '{k}')
    const script = "for i = 1, 3000 do redis.call('SET', KEYS[1] .. i, i) end"
    await ask(first, owner, ['EVAL', script, 1, '{k}'])
    await first.stop()
    // A millisecond for each.
    const second = await start({ ...options, config: { 'key-load-delay': '1000' } })
    expect(await ask(second, owner, ['DBSIZE'])).toBe(3000)
  }, 30_000)

  it('says so where a file is in the way', async ({ expect, start, folder }) => {
    await writeFile(folder, '')
    await expect(start({ dir: folder })).rejects.toThrow(ConfigurationError)
    await expect(start({ dir: folder })).rejects.toThrow(/cannot be used as a folder/)
  })

  it('keeps what was acknowledged when all servers are killed at once, if told to', async ({
    expect,
    start,
    folder,
  }) => {
    const options = { dir: folder, config: { appendfsync: 'always' }, onError: () => {} }
    const first = await start(options)
    await write(first)
    for (const { pid } of first.nodes) process.kill(pid, 'SIGKILL')
    await first.stop()
    expect(await readAll(await start(options))).toEqual(written)
  }, 30_000)

  it('ends servers that outlived their owner and their guards', async ({ expect, start, folder }) => {
    const { child, pids } = await startChild('wait', { dir: folder })
    const guards = pids.map((pid) => processInfo(pid)?.parent ?? 0)
    // The owner stands still first, or it would end the servers when it sees their guards go.
    child.kill('SIGSTOP')
    process.kill(pids[0] ?? 0, 'SIGSTOP')
    for (const pid of guards) process.kill(pid, 'SIGKILL')
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(pids.filter((pid) => processInfo(pid) === undefined)).toEqual([])

    const cluster = await start({ dir: folder })
    expect(pids.filter((pid) => processInfo(pid) !== undefined)).toEqual([])
    expect(await ask(cluster, 0, ['PING'])).toBe('PONG')
  }, 30_000)

  it('is refused while it is in use, and left alone', async ({ expect, start, folder }) => {
    const options = { dir: folder, replicasPerPrimary: 0 }
    const first = await start(options)
    await expect(start(options)).rejects.toThrow(/is in use/)
    expect(await ask(first, 0, ['PING'])).toBe('PONG')
  }, 30_000)

  it('finishes a cluster whose making was interrupted', async ({ expect, start, folder }) => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const attempt = start({
      dir: folder,
      signal: controller.signal,
      onProgress: (step) => step.startsWith('waiting') && controller.abort(reason),
    })
    await expect(attempt).rejects.toBe(reason)
    const cluster = await start({ dir: folder })
    expect(cluster.nodes.filter(({ role }) => role === 'primary')).toHaveLength(3)
  }, 30_000)

  it('refuses another shape than the one it holds', async ({ expect, start, folder }) => {
    const first = await start({ dir: folder, replicasPerPrimary: 0 })
    await first.stop()
    await expect(start({ dir: folder })).rejects.toThrow(
      /holds a cluster of 3 primaries with 0 replicas each/,
    )
  }, 30_000)
})
