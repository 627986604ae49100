import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, it } from 'vitest'
import { processInfo } from '../../../slotwise/src/local/process.js'
import { json, slotwise, start } from '../support/slotwise.js'

interface Document {
  readonly nodes: readonly { readonly node: string; readonly pid: number }[]
  readonly ca: string
}

it('a local cluster runs until Ctrl-C, over TLS, for the user that was named, and leaves nothing behind', async () => {
  const login = ['--user', 'me', '--password-file', inject('cliPasswordFile')]
  const running = start(['local', '--replicas', '0', '--tls', '--json', ...login])
  await running.until(/\n}\n/)
  const { nodes, ca } = JSON.parse(running.shown()) as Document
  const [first = { node: '' }] = nodes
  try {
    const reach = [first.node, '--ca', ca, ...login]
    const [info, rebalance, untrusting] = await Promise.all([
      json(['info', ...reach]),
      slotwise(['rebalance', ...reach]),
      slotwise(['info', first.node, '--tls', '--timeout', '2000', ...login]),
    ])
    expect(info).toMatchObject({ code: 0, document: { state: 'ok' } })
    expect(rebalance).toMatchObject({ code: 0, stdout: 'Nothing had to be moved.\n' })
    expect(untrusting).toMatchObject({ code: 2, stderr: expect.stringContaining('--ca FILE') as string })
  } finally {
    running.child.kill('SIGINT')
  }
  const { code, stderr } = await running.ended
  expect(code).toBe(0)
  expect(stderr).toMatch(/Ending the servers\.\n$/)
  for (const { pid } of nodes) expect(processInfo(pid)).toBeUndefined()
  expect(existsSync(ca)).toBe(false)
})

it('a local cluster shows how to reach it, and keeps what is in its folder', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'slotwise cli data '))
  try {
    const running = start(['local', '--replicas', '0', '--dir', dir, '--config', 'maxmemory=64mb'])
    await running.until('End it     Ctrl-C')
    const [, node = ''] = /Reach it {3}slotwise info (\S+)\n/.exec(running.shown()) ?? []
    const { document } = await json(['info', node])
    expect(document).toMatchObject({ nodes: [{ memory: { maxBytes: 64 * 2 ** 20 } }, {}, {}] })
    expect(running.shown()).toContain(`stays in ${dir}`)
    running.child.kill('SIGTERM')
    expect((await running.ended).code).toBe(0)
    expect(existsSync(join(dir, 'cluster.json'))).toBe(true)
    const other = await slotwise(['local', '--dir', dir])
    expect(other).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/holds a cluster of 3 primaries with 0/) as string,
    })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
