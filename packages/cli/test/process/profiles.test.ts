import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { json, slotwise } from '../support/slotwise.js'

let folder: string
let env: Readonly<Record<string, string>>
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slotwise config '))
  env = { XDG_CONFIG_HOME: folder }
  file = join(folder, 'slotwise/profiles.json')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('a profile', () => {
  it('is all that a command has to be told, and holds no password', async () => {
    const [first = '', ...rest] = inject('cliNodes')
    const secret = inject('cliPasswordFile')
    const add = [
      'profile',
      'add',
      'here',
      first,
      '--user',
      'ops',
      '--password-file',
      secret,
      '--map',
      '*=127.0.0.1',
    ]
    expect(await slotwise(add, { env })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('is kept') as string,
    })
    expect(await json(['health', '--profile', 'here'], { env })).toMatchObject({
      code: 0,
      document: { status: 'ok' },
    })
    // Nodes of one's own take the place of those that are kept, and only of those.
    expect((await slotwise(['info', rest[0] ?? '', '--profile', 'here'], { env })).code).toBe(0)
    const kept = readFileSync(file, 'utf8')
    expect(kept).not.toContain(inject('cliPassword'))
    expect(JSON.parse(kept)).toEqual({
      profiles: { here: { nodes: [first], user: 'ops', passwordFile: secret, map: ['*=127.0.0.1'] } },
    })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(dirname(file)).mode & 0o777).toBe(0o700)
  })

  it('is listed, shown, replaced and removed', async () => {
    expect((await slotwise(['profile', 'list'], { env })).stdout).toMatch(/^There are no profiles/)
    await slotwise(['profile', 'add', 'b', 'rediss://me@h:1'], { env })
    await slotwise(['profile', 'add', 'a', 'h:2', '--ca', 'ca.pem'], { env, cwd: folder })
    const list = await slotwise(['profile', 'list'], { env })
    expect(list.stdout).toBe(
      'PROFILE  NODES  USER  TLS\na        h:2          yes\nb        h:1    me    yes\n',
    )
    const show = await slotwise(['profile', 'show', 'a'], { env })
    expect(show.stdout).toBe(`nodes          h:2\nauthority      ${join(folder, 'ca.pem')}\n`)
    const replaced = await json(['profile', 'add', 'a', 'h:3'], { env })
    expect(replaced.document).toEqual({
      command: 'profile add',
      name: 'a',
      profile: { nodes: ['h:3'] },
      replaced: true,
    })
    expect((await slotwise(['profile', 'remove', 'a'], { env })).code).toBe(0)
    expect((await json(['profile', 'list'], { env })).document).toMatchObject({
      profiles: { b: { user: 'me' } },
    })
    expect(await slotwise(['profile', 'remove', 'a'], { env })).toMatchObject({ code: 2 })
  })

  it.each([
    ['is no JSON', '{'],
    ['holds a password', JSON.stringify({ profiles: { x: { nodes: ['h:1'], password: 'p' } } })],
    ['holds a password in a URL', JSON.stringify({ profiles: { x: { nodes: ['redis://a:p@h:1'] } } })],
    ['names no node', JSON.stringify({ profiles: { x: { nodes: [] } } })],
  ])('in a file that %s is refused, by the name of the file', async (_, text) => {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    const { code, stderr } = await slotwise(['info', '--profile', 'x'], { env })
    expect(code).toBe(2)
    expect(stderr).toContain(file)
  })

  it('cannot be made of a password, of no node, or under a name that is none', async () => {
    for (const args of [
      ['x', 'redis://a:hunter2@h:1'],
      ['x'],
      ['a/b', 'h:1'],
      ['x', 'h:1', '--password', 'p'],
    ]) {
      expect((await slotwise(['profile', 'add', ...args], { env })).code).toBe(2)
    }
  })

  it('that cannot be kept is said so', async () => {
    writeFileSync(join(folder, 'file'), '')
    const taken = { XDG_CONFIG_HOME: join(folder, 'file') }
    const { code, stderr } = await slotwise(['profile', 'add', 'x', 'h:1'], { env: taken })
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('profiles') as string })
  })
})
