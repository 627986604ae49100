import { describe, expect, inject, it } from 'vitest'
import { useOpsPort } from '../support/ops-port.js'
import { asOps, json, slotwise } from '../support/slotwise.js'

const env = asOps()
const ops = useOpsPort()

describe('a cluster that is well', () => {
  it('is shown by info, each replica below its primary', async () => {
    const { code, stdout, stderr } = await slotwise(['info'], { env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [head = '', , ...rows] = stdout.trimEnd().split('\n')
    expect(head).toBe(
      'state ok · 16,384 of 16,384 slots assigned · 3 primaries, 3 replicas · epoch ' +
        head.split(' ').at(-1),
    )
    expect(rows).toHaveLength(7)
    for (let i = 1; i < 7; i += 2) {
      const [primary = ''] = rows[i]?.split(' ') ?? []
      expect(rows[i]).toMatch(/ primary  \d+-\d+ /)
      // Others may be writing to the cluster at this moment.
      expect(rows[i + 1]).toMatch(new RegExp(` replica  of ${primary} .* up, (?:no lag|\\d+ \\S+ behind) `))
    }
  })

  it('is told to programs in one document', async () => {
    const { code, document, stderr } = await json(['info'], { env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(document).toMatchObject({ command: 'info', state: 'ok', slots: { assigned: 16_384, open: [] } })
    expect((document as { nodes: unknown[] }).nodes).toHaveLength(6)
  })

  it('is ok by health, and without a finding by doctor, which then both end with 0', async () => {
    const health = await json(['health', '--usage', 'locks,cache'], { env })
    expect(health).toMatchObject({ code: 0, document: { command: 'health', status: 'ok', findings: [] } })
    const doctor = await slotwise(['doctor', '--active'], { env })
    expect(doctor).toEqual({ code: 0, stdout: 'Nothing found.\n', stderr: '' })
    const asked = await json(['doctor', '--fail-on', 'info'], { env })
    expect(asked).toMatchObject({ code: 0, document: { command: 'doctor', worst: null, findings: [] } })
  })

  it('answers ping at every node', async () => {
    const { code, document } = await json(['ping', '--count', '3', '--interval', '5'], { env })
    expect(code).toBe(0)
    const { nodes } = document as {
      nodes: { sent: number; answered: number; minMs: number; maxMs: number }[]
    }
    expect(nodes).toHaveLength(6)
    for (const { sent, answered, minMs, maxMs } of nodes) {
      expect([sent, answered]).toEqual([3, 3])
      expect(minMs).toBeLessThanOrEqual(maxMs)
    }
    const shown = await slotwise(['ping', '-c', '2', '-i', '1'], { env })
    expect(shown.stdout.match(/ 2\/2 /g)).toHaveLength(6)
    // Where no terminal is, progress is a few lines, and never among the result.
    expect(shown.stderr).toMatch(/asking all nodes 2\/2\n$/)
    expect(shown.stdout).not.toContain('asking')
  })

  it('bears bench, which removes its keys', async () => {
    const { code, document } = await json(['bench', '--seconds', '1', '--concurrency', '4'], { env })
    expect(code).toBe(0)
    const { results } = document as {
      results: { command: string; calls: number; failed: number; p99Ms: number }[]
    }
    expect(results.map(({ command }) => command)).toEqual(['SET', 'GET'])
    for (const { calls, failed, p99Ms } of results) {
      expect(calls).toBeGreaterThan(100)
      expect([failed, p99Ms > 0]).toEqual([0, true])
    }
    // Other tests have keys for as long as they last, in namespaces of their own.
    const others = /^cli-[0-9a-f]{8}:/
    for (const { result } of await ops.port().onEachPrimary(['KEYS', '*'])) {
      expect.assert(result.status === 'fulfilled')
      expect((result.value as string[]).filter((key) => !others.test(key))).toEqual([])
    }
  })
})

describe('where a key lives', () => {
  it('is known without a cluster', async () => {
    const { code, stdout } = await slotwise(['slot', 'foo', 'user:{42}:name'])
    expect(code).toBe(0)
    expect(stdout).toBe(' SLOT  HASH TAG  KEY\n12182  -         foo\n 8000  42        user:{42}:name\n')
    expect((await json(['slot', 'foo'])).document).toEqual({
      command: 'slot',
      keys: [{ key: 'foo', slot: 12_182, hashTag: null }],
    })
  })

  it('is told with its owner by a cluster', async () => {
    const { document } = await json(['slot', 'foo'], { env })
    const { keys } = document as { keys: { owner: string }[] }
    expect(inject('cliNodes')).toContain(keys[0]?.owner)
  })

  it('and whose it is, with what a hash hides', async () => {
    const { code, stdout } = await slotwise(['keys', 'shop:cache:comments:{@acme:a%20b:42}'], { env })
    expect(code).toBe(0)
    expect(stdout).toMatch(/namespace {2}shop\n {2}pattern {4}cache\n {2}instance {3}comments\n/)
    expect(stdout).toMatch(/tenant {5}"acme"\n {2}id {9}"a b" "42"\n {2}slot {7}\d+\n {2}owner {6}127/)
    const hashed = await slotwise(['keys', `lock:l:{#${'x'.repeat(43)}}`])
    expect(hashed).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('holds its SHA-256 only') as string,
    })
  })

  it('is told for a stranger too, which ends with 1', async () => {
    const { code, document } = await json(['keys', 'foo'])
    expect({ code, document }).toEqual({
      code: 1,
      document: { command: 'keys', keys: [{ key: 'foo', slot: 12_182, hashTag: null, read: null }] },
    })
  })
})

describe('the way to a cluster', () => {
  const nodes = inject('cliNodes')
  const [first = ''] = nodes
  const [host = '', port = ''] = first.split(':')
  const login = { SLOTWISE_USER: 'ops', SLOTWISE_PASSWORD: inject('cliPassword') }

  it.each([
    ['an argument', [first]],
    ['an option', ['-n', first]],
    ['a list', ['--nodes', nodes.join(',')]],
    ['a URL', [`redis://ops@${first}`]],
    ['a map', [`redis.invalid:${port}`, '--map', `*=${host}`]],
  ])('is given by %s', async (_, args) => {
    const { code, stderr } = await slotwise(['health', ...args], { env: login })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  it('takes the password from a file, from the environment, or from who is asked', async () => {
    const file = inject('cliPasswordFile')
    const health = ['health', first, '--user', 'ops']
    expect((await slotwise([...health, '--password-file', file])).code).toBe(0)
    expect((await slotwise(health, { env: { SLOTWISE_PASSWORD_FILE: file } })).code).toBe(0)
    const asked = await slotwise([...health, '--ask-password'], { input: `${inject('cliPassword')}\n` })
    expect(asked).toMatchObject({ code: 0, stderr: 'Password: ' })
  })
})
