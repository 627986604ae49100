import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { describe, expect, inject, it } from 'vitest'
import { useOpsPort } from '../support/ops-port.js'
import { asOps, json, slotwise, start } from '../support/slotwise.js'

const COMMANDS = [
  ['info'],
  ['health'],
  ['doctor'],
  ['ping'],
  ['bench'],
  ['create'],
  ['add-node'],
  ['remove-node'],
  ['rebalance'],
  ['move-slots'],
  ['failover'],
  ['local'],
  ['slot'],
  ['keys'],
  ['completion'],
  ['profile', 'list'],
  ['profile', 'show'],
  ['profile', 'add'],
  ['profile', 'remove'],
  ['limits', 'show'],
  ['limits', 'block'],
  ['limits', 'reset'],
  ['locks', 'list'],
  ['locks', 'show'],
  ['locks', 'release'],
  ['writebehind', 'lag'],
  ['writebehind', 'dead-letters', 'list'],
  ['writebehind', 'dead-letters', 'replay'],
  ['writebehind', 'dead-letters', 'discard'],
  ['writebehind', 'partitions'],
]
const env = asOps()
const [node = ''] = inject('cliNodes')

describe('help', () => {
  it('has an example for every command, and there is no command that is not listed here', async () => {
    const ran = await Promise.all(
      [
        [],
        ['profile'],
        ['limits'],
        ['locks'],
        ['writebehind'],
        ['writebehind', 'dead-letters'],
        ...COMMANDS,
      ].map((path) => slotwise([...path, '--help'])),
    )
    for (const { code, stdout, stderr } of ran) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/Example:\n {2}(slotwise|source) /)
    }
    const listed = [...(ran[0]?.stdout.matchAll(/^ {2}([a-z][\w-]*) (?=.* {2})/gm) ?? [])].map(
      ([, name]) => name,
    )
    const known = new Set(COMMANDS.map(([name]) => name))
    expect(new Set(listed.filter((name) => name !== 'help' && name !== 'slotwise'))).toEqual(known)
  })

  it('goes where errors go when nothing was asked for', async () => {
    const { code, stdout, stderr } = await slotwise([])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('Usage: slotwise')
  })
})

describe('what is misused ends with 2, in one sentence that says what to do', () => {
  it.each([
    [['inf'], /unknown command 'inf'\. \(Did you mean info\?\)/],
    [['info', '--tlls'], /unknown option '--tlls'\. \(Did you mean --tls\?\)/],
    [['info'], /No node was given: .* SLOTWISE_NODES, or give --profile NAME\./],
    [['info', 'localhost'], /A node must be host:port/],
    [['move-slots', node], /required option '--to <node>' not specified/],
    [['move-slots', node, '--to', node, '--slots', 'x'], /ranges such as 0-99,200/],
    [['ping', node, '--count', '0'], /whole number from 1 to 100000/],
    [['health', node, '--usage', 'locks,cash'], /It must be of locks, sessions/],
    [['doctor', node, '--fail-on', 'bad'], /Allowed choices are info, warning, critical, never/],
    [['failover', node], /Name either the replica, by --to NODE, or the primary, by --from NODE\./],
    [['info', node, '--user', 'ops'], /The user "ops" needs a password: give --password-file/],
    [
      ['info', node, '--password-file', '/nowhere'],
      /\/nowhere of --password-file cannot be read: there is no such file/,
    ],
    [['info', node, '--cert', '/nowhere'], /--cert and --key belong together/],
    [['info', '--profile', 'none'], /There is no profile "none": `slotwise profile add` makes one/],
    [['create', node, '--replicas', '1'], /three primaries are the least that can vote/],
    [['rebalance', node, '--weight', 'x'], /NODE=WEIGHT/],
    [['local', '--config', 'x'], /NAME=VALUE/],
    [['completion', 'tcsh'], /Allowed choices are bash, zsh, fish/],
  ])('%j', async (args, sentence) => {
    const { code, stdout, stderr } = await slotwise(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(sentence)
    expect(stderr).toMatch(/^slotwise: [^\n]*\n$/)
  })

  it('a wrong password too, by the names that options have here', async () => {
    const wrong = { ...env, SLOTWISE_PASSWORD_FILE: '', SLOTWISE_PASSWORD: 'wrong' }
    for (const args of [['info'], ['rebalance']]) {
      const { code, stderr } = await slotwise(args, { env: wrong })
      expect(code).toBe(2)
      expect(stderr).toMatch(/refuses .*--user and --password-file/)
    }
    const none = await slotwise(['info', node])
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('give --password-file') as string })
  })

  it('and a node that is none of the cluster, which nobody mends by repeating', async () => {
    const { code, stderr } = await slotwise(['rebalance', '--weight', '127.0.0.1:1=0', '--dry-run'], { env })
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is no node of this cluster') as string,
    })
  })
})

describe('what cannot be reached ends with 3', () => {
  it.each([['info'], ['health'], ['doctor'], ['ping'], ['bench'], ['rebalance']])('%s', async (command) => {
    const { code, stdout, stderr } = await slotwise([command, '127.0.0.1:1', '--timeout', '300'])
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toMatch(/^slotwise: .*127\.0\.0\.1:1.*\n$/)
  })

  it('in the time that --timeout gives', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as { port: number }
    try {
      const began = performance.now()
      expect((await slotwise(['info', `127.0.0.1:${port}`, '--timeout', '200'])).code).toBe(3)
      expect(performance.now() - began).toBeLessThan(4000)
    } finally {
      silent.close()
    }
  })

  it('and is told to programs as a document', async () => {
    const { code, document, stderr } = await json(['info', '127.0.0.1:1', '--timeout', '300'])
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' })
    expect(document).toMatchObject({ error: { code: 'REDIS_UNAVAILABLE', exitCode: 3 } })
  })
})

describe('a password', () => {
  it.each([
    ['--password=hunter2'],
    ['--password', 'hunter2'],
    ['--pass', 'hunter2'],
    [`redis://ops:hunter2@${node}`],
    ['-n', `rediss://:hunter2@${node}`],
    [`ops:hunter2@${node}`],
    ['--passwort=hunter2'],
    ['--map', 'redis://ops:hunter2@a:1'],
  ])('among the arguments is refused, and not repeated: %s %s', async (...args) => {
    for (const more of [['--debug'], ['--json']]) {
      const { code, stdout, stderr } = await slotwise(['info', ...args, ...more])
      expect(code).toBe(2)
      expect(stdout + stderr).not.toContain('hunter2')
    }
  })

  it('says why it is refused, and what to use', async () => {
    const { stderr } = await slotwise(['info', node, '--password', 'x'])
    expect(stderr).toMatch(
      /everybody on this machine.*--password-file FILE, by SLOTWISE_PASSWORD or by --ask-password/,
    )
  })

  it('shows neither in the list of processes, nor in what is said, whichever way it came', async () => {
    const secret = inject('cliPassword')
    const running = start(['ping', '--count', '1000', '--interval', '20', '--debug'], { env })
    await running.until('asking all nodes')
    const listed = spawnSync('ps', ['-ww', '-o', 'args=', '-p', String(running.child.pid)], {
      encoding: 'utf8',
    })
    const args =
      listed.error === undefined ? listed.stdout : readFileSync(`/proc/${running.child.pid}/cmdline`, 'utf8')
    expect(args).toContain('ping')
    expect(args).not.toContain(secret)
    running.child.kill('SIGINT')
    const { stdout, stderr } = await running.ended
    expect(stdout + stderr).not.toContain(secret)
    // As somebody whom the servers let in, and who may do nothing: errors are where secrets slip out.
    const asWrong = {
      SLOTWISE_NODES: env['SLOTWISE_NODES'] ?? '',
      SLOTWISE_USER: secret,
      SLOTWISE_PASSWORD: secret,
    }
    for (const command of [['info'], ['rebalance'], ['create'], ['add-node', node]]) {
      const ran = await slotwise([...command, '--debug'], { env: asWrong })
      expect(ran.code).not.toBe(0)
      expect(ran.stderr).toMatch(/ {4}at /)
      expect(ran.stdout + ran.stderr).not.toContain(secret)
    }
  })
})

const { port } = useOpsPort()

/** Keys of `bench`, whoever ran it: other tests have keys of their own. */
async function benchKeys(): Promise<number> {
  const answers = await port().onEachPrimary(['KEYS', '*cli:bench:*'])
  return answers.reduce((sum, { result }) => {
    if (result.status === 'rejected') throw result.reason
    return sum + (result.value as readonly string[]).length
  }, 0)
}

describe('being told to stop', () => {
  it('ends ping with what it has measured, and with 130', async () => {
    const running = start(['ping', '--count', '1000', '--interval', '20', '--json'], { env })
    await running.until('asking all nodes')
    running.child.kill('SIGINT')
    const { code, stdout } = await running.ended
    expect(code).toBe(130)
    const { nodes } = JSON.parse(stdout) as { nodes: { answered: number; sent: number }[] }
    for (const { answered, sent } of nodes) expect(answered).toBe(sent)
  })

  it('ends bench too, whose keys are gone', async () => {
    const running = start(['bench', '--seconds', '60', '--concurrency', '2'], { env })
    await running.until('calling')
    expect(await benchKeys()).toBeGreaterThan(0)
    running.child.kill('SIGTERM')
    expect((await running.ended).code).toBe(143)
    // Another test may measure at this moment.
    await expect.poll(benchKeys, { timeout: 10_000 }).toBe(0)
  })

  it('by who reads no more is quiet', async () => {
    const running = start(['info', '--json'], { env })
    running.child.stdout.destroy()
    expect(await running.ended).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('an error', () => {
  it('has no stack trace but with --debug', async () => {
    const away = ['info', '127.0.0.1:1', '--timeout', '300']
    expect((await slotwise(away)).stderr).not.toContain('    at ')
    const { stderr } = await slotwise([...away, '--debug'])
    expect(stderr).toMatch(/RedisUnavailableError: [\s\S]* {4}at [\s\S]*\nslotwise: no node can be reached/)
  })
})

describe('colours', () => {
  it('are not in a pipe, and are where they are forced', async () => {
    expect((await slotwise(['info'], { env })).stdout).not.toContain('\u001B')
    const forced = { ...env, FORCE_COLOR: '1' }
    expect((await slotwise(['info'], { env: forced })).stdout).toContain('\u001B[32mok')
    expect((await slotwise(['info', '--no-color'], { env: forced })).stdout).not.toContain('\u001B')
  })
})
