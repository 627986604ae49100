import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ServerNotFoundError } from '../../src/errors.js'
import { findServer } from '../../src/local/find.js'

// Programs of this file's own stand on PATH, so that neither what this machine has nor the network matters.
let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'slotwise find '))
  vi.stubEnv('PATH', `${join(root, 'bin')}:/usr/bin:/bin`)
  vi.stubEnv('XDG_CACHE_HOME', join(root, 'cache'))
  vi.stubEnv('SLOTWISE_REDIS_SERVER', undefined)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true, force: true })
})

async function program(path: string, text: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, `#!/bin/sh\n${text}\n`)
  await chmod(path, 0o755)
  return path
}
const server = (path: string, version: string) =>
  program(path, `echo "Redis server v=${version} sha=00000000:0 malloc=libc bits=64 build=0"`)
const onPath = (name: string) => join(root, 'bin', name)
const cached = () => join(root, 'cache/slotwise', `redis-server-${process.platform}-${process.arch}`)

describe('a server is found', () => {
  it('where SLOTWISE_REDIS_SERVER says, before anywhere else', async () => {
    await server(onPath('redis-server'), '7.4.0')
    const named = await server(join(root, 'mine'), '7.2.1')
    vi.stubEnv('SLOTWISE_REDIS_SERVER', named)
    expect(await findServer()).toEqual({ path: named, version: '7.2.1', env: {} })
  })

  it('on PATH, Valkey too, under the name it has there', async () => {
    const real = await server(join(root, 'redis-check-rdb'), '8.0.1')
    await mkdir(join(root, 'bin'))
    await symlink(real, onPath('valkey-server'))
    expect(await findServer()).toMatchObject({ path: onPath('valkey-server'), version: '8.0.1' })
  })

  it('on PATH beyond folders that cannot be looked into and files that cannot be run', async () => {
    await symlink('loop', join(root, 'loop'))
    await mkdir(join(root, 'plain'))
    await writeFile(join(root, 'plain/redis-server'), 'no program')
    await server(onPath('redis-server'), '7.4.0')
    vi.stubEnv('PATH', `${join(root, 'loop')}:${join(root, 'plain')}:${process.env['PATH']}`)
    expect(await findServer()).toMatchObject({ version: '7.4.0' })
  })

  it('on PATH only when it is new enough', async () => {
    await server(onPath('redis-server'), '6.2.14')
    await server(join(cached(), 'usr/bin/redis-server'), '7.0.15')
    expect(await findServer()).toMatchObject({ version: '7.0.15' })
    await server(onPath('valkey-server'), '7.2.4')
    expect(await findServer()).toMatchObject({ version: '7.2.4' })
    expect(await findServer({ version: '7.2' })).toMatchObject({ version: '7.2.4' })
  })

  it('among what was fetched earlier, with its libraries', async () => {
    await server(join(cached(), 'usr/bin/redis-server'), '7.0.15')
    await mkdir(join(cached(), 'usr/lib/x86_64-linux-gnu'), { recursive: true })
    vi.stubEnv('LD_LIBRARY_PATH', '/already/there')
    const { env } = await findServer()
    expect(env['LD_LIBRARY_PATH']).toBe(`${join(cached(), 'usr/lib/x86_64-linux-gnu')}:/already/there`)
  })

  it.each([
    ['is not there', undefined, /no such file/],
    ['does not run', 'exit 3', /it does not run/],
    ['is something else', 'echo hello', /does not say which version/],
    ['is too old', 'echo "Redis server v=6.0.16 sha=0"', /is 6\.0\.16, 7\.0\.0 or later is needed/],
  ])('nowhere else when the one that SLOTWISE_REDIS_SERVER names %s', async (_, text, words) => {
    await server(onPath('redis-server'), '7.4.0')
    const path = join(root, 'mine')
    if (text !== undefined) await program(path, text)
    vi.stubEnv('SLOTWISE_REDIS_SERVER', path)
    await expect(findServer()).rejects.toThrow(ServerNotFoundError)
    await expect(findServer()).rejects.toThrow(words)
  })
})

describe('a user without a home', () => {
  const folder = () => join(root, `slotwise-cache-${process.getuid?.() ?? 0}`)
  beforeEach(() => {
    vi.stubEnv('XDG_CACHE_HOME', undefined)
    vi.stubEnv('HOME', '/nonexistent')
    vi.stubEnv('TMPDIR', root)
  })

  it('has a cache that nobody else can write to', async () => {
    const path = join(folder(), `redis-server-${process.platform}-${process.arch}`, 'usr/bin/redis-server')
    await mkdir(folder(), { mode: 0o700 })
    await server(path, '7.0.15')
    expect(await findServer()).toMatchObject({ path })
    await chmod(folder(), 0o777)
    await expect(findServer()).rejects.toThrow(/belongs to somebody else: set XDG_CACHE_HOME/)
  })
})

describe.skipIf(process.platform !== 'linux')('a server is fetched', () => {
  /** An apt that knows one package, and a dpkg that unpacks it; what they were asked is in a file. */
  async function fakeApt({ version = '7.0.15', onUpdate = '', onInstall = '' } = {}): Promise<void> {
    await program(
      onPath('apt-get'),
      `echo "$@" >> '${root}/asked'
for option; do case $option in Dir::Cache::archives=*) archives=\${option#*=};; esac; done
case "$*" in
  *update) ${onUpdate || ':'} ;;
  *install*redis-server) ${onInstall || 'sleep 0.2; touch "$archives/redis-server_1_all.deb"'} ;;
  *download*) touch redis-server_1_all.deb ;;
esac`,
    )
    await program(
      onPath('dpkg'),
      `mkdir -p "$3/usr/bin"
printf '#!/bin/sh\\necho "Redis server v=${version} sha=0"\\n' > "$3/usr/bin/redis-server"
chmod +x "$3/usr/bin/redis-server"`,
    )
  }
  const asked = () => readFile(join(root, 'asked'), 'utf8').catch(() => '')
  const leftovers = async () =>
    (await readdir(join(root, 'cache/slotwise')).catch(() => [])).filter((name) =>
      name.startsWith('fetching'),
    )

  it('once, and found again without asking anybody', async () => {
    await fakeApt()
    const steps: string[] = []
    const found = await findServer({ onProgress: (step) => steps.push(step) })
    expect(found).toMatchObject({ path: join(cached(), 'usr/bin/redis-server'), version: '7.0.15' })
    expect(steps).toEqual([
      'fetching the list of packages',
      'fetching redis-server',
      'unpacking redis-server',
    ])
    expect(await leftovers()).toEqual([])
    await rm(join(root, 'asked'))
    expect(await findServer()).toEqual(found)
    expect(await asked()).toBe('')
  })

  it('by several at once, without harm', async () => {
    await fakeApt()
    const found = await Promise.all(Array.from({ length: 4 }, () => findServer()))
    expect(new Set(found.map(({ path }) => path))).toEqual(new Set([join(cached(), 'usr/bin/redis-server')]))
    expect(await leftovers()).toEqual([])
  })

  it('anew when the earlier one does not run any more', async () => {
    await program(join(cached(), 'usr/bin/redis-server'), 'exit 127')
    await fakeApt()
    expect(await findServer()).toMatchObject({ version: '7.0.15' })
    expect(await leftovers()).toEqual([])
  })

  it('by the names of its packages when the system has lost track of what it has', async () => {
    await fakeApt({ onInstall: 'echo "E: Unmet dependencies." >&2; exit 100' })
    expect(await findServer()).toMatchObject({ version: '7.0.15' })
    expect(await asked()).toMatch(/download redis-server redis-tools/)
  })

  it.each([
    [
      'without a network',
      { onInstall: 'echo "E: Unable to locate package redis-server" >&2; exit 100' },
      /package servers cannot be reached; is there a network\?/,
    ],
    [
      'on a full disk',
      { onUpdate: 'echo "E: Write error - write (28: No space left on device)" >&2; exit 100' },
      /the disk is full; about 80 MB/,
    ],
    ['from a system that has an old one', { version: '6.0.16' }, /is 6\.0\.16, 7\.0\.0 or later is needed/],
  ])('not %s, and one sentence says so', async (_, apt, words) => {
    await fakeApt(apt)
    const attempt = findServer()
    await expect(attempt).rejects.toThrow(ServerNotFoundError)
    await expect(attempt).rejects.toThrow(words)
    expect(await leftovers()).toEqual([])
  })

  it('not when the folder for it is a file', async () => {
    await fakeApt()
    await writeFile(join(root, 'cache'), '')
    await expect(findServer()).rejects.toThrow(/cannot be written to; set XDG_CACHE_HOME/)
  })

  it('not to the end when given up', async () => {
    await fakeApt({ onUpdate: 'sleep 5' })
    const reason = new Error('enough')
    const controller = new AbortController()
    const attempt = findServer({
      signal: controller.signal,
      onProgress: () => setTimeout(() => controller.abort(reason), 100),
    })
    await expect(attempt).rejects.toBe(reason)
    expect(await leftovers()).toEqual([])
    expect(existsSync(cached())).toBe(false)
  })
})
