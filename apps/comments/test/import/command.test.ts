import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Api } from '../support/api.js'
import { comment, dumpFolder, largeSite, SITE, writeDump } from '../support/dump.js'
import { useService } from '../support/service.js'

const service = useService()
const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))
const MAIN = 'apps/comments/src/import/main.ts'

interface Run {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly said: string }>
}

function importing(args: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
  const flags = ['--conditions=slotwise-source', '--import', 'tsx', MAIN]
  const child = spawn(process.execPath, [...flags, ...args], {
    cwd: ROOT,
    env: {
      ...process.env,
      DATABASE_URL: service.config.databaseUrl,
      REDIS_NODES: service.config.redisNodes.join(','),
      NAMESPACE: service.config.namespace,
      INIT_CWD: ROOT,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, said }))
  return { child, ended }
}

describe('npm run import', () => {
  it('imports a site, hands out a key that works, and changes what a running service shows', async () => {
    const folder = await dumpFolder(SITE, { gzip: true })
    const tenant = 'Ünï: {site}'
    const first = await importing([folder, '--tenant', tenant]).ended
    expect(first).toMatchObject({ code: 0 })
    expect(first.said).toMatch(/Imported 2 entities, 6 comments, 5 likes, 6 users\./)
    expect(first.said).toMatch(/Left out 1 answers and comments/)
    const key = /shown this once: (\S+)/.exec(first.said)?.[1] ?? ''
    const api = new Api(service.url, key)
    const thread = await api.thread('1')
    expect(thread.body.items.map(({ id }: { id: string }) => id)).toEqual(['a2', 'c1'])
    expect((await api.thread('1')).headers.get('x-cache')).toBe('hit')

    const second = await importing([folder, '--tenant', tenant]).ended
    expect(second).toMatchObject({ code: 0 })
    expect(second.said).toMatch(/in Ünï: \{site\} already/)
    expect(second.said).not.toMatch(/shown this once/)

    await writeDump(folder, { ...SITE, Comments: [...SITE.Comments, comment(7, 2, 'later')] }, { gzip: true })
    expect((await importing([folder, '--tenant', tenant, '--key', 'a-key-of-mine']).ended).code).toBe(0)
    const changed = await new Api(service.url, 'a-key-of-mine').thread('1')
    expect(changed.headers.get('x-cache')).toBe('load')
    expect(JSON.stringify(changed.body)).toContain('later')

    const stolen = await importing([folder, '--tenant', 'another', '--key', 'a-key-of-mine']).ended
    expect(stolen).toMatchObject({ code: 1, said: expect.stringMatching(/belongs to another tenant$/m) })
    expect(stolen.said).not.toMatch(/^\s+at /m)
  })

  it('stops at Ctrl-C, shows nothing until then, and goes on when it is called again', async () => {
    const folder = await dumpFolder(largeSite(15_000))
    const tenant = 'stopped'
    const { child, ended } = importing([folder, '--tenant', tenant])
    const staged = async () => {
      const { rows } = await service.db.pool.query(
        'select count(*)::int as n from import_rows where tenant_id = $1',
        [tenant],
      )
      return rows[0].n as number
    }
    await expect.poll(staged, { timeout: 10_000, interval: 20 }).toBeGreaterThan(1000)
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 130, said: expect.stringMatching(/The same command goes on/) })
    expect(await staged()).toBeGreaterThan(1000)
    const { rowCount } = await service.db.pool.query('select from tenants where id = $1', [tenant])
    expect(rowCount).toBe(0)
    const again = await importing([folder, '--tenant', tenant]).ended
    expect(again).toMatchObject({ code: 0 })
    expect(again.said).toMatch(/Imported 10 entities, 15,050 comments, 15,000 likes/)
  })

  it('names the row of what is broken, and fails', async () => {
    const folder = await dumpFolder(SITE, { broken: { Votes: '<votes><row Id="x"' } })
    const { code, said } = await importing([folder, '--tenant', 'broken']).ended
    expect(code).toBe(1)
    expect(said).toMatch(/Votes\.xml, row 1: is no well-formed XML/)
    expect(said).not.toMatch(/^\s+at /m)
  })

  it('says in one sentence what is wrong with its arguments, and how to learn more', {
    timeout: 90_000,
  }, async () => {
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [['--help'], 0, /Usage: npm run import/],
      [[], 2, /name one folder with a dump[^]*-- --help/],
      [['docs'], 2, /name the tenant: --tenant NAME/],
      [['docs', '--tenant', 'x'], 2, /there is no dump in .*docs/],
      [['nowhere', '--tenant', 'x'], 1, /nowhere.*ENOENT/],
      [['docs', '--tenant', 'x', '--plan', 'GOLD'], 2, /there is no plan GOLD, but FREE, STARTER/],
      [['docs', '--tenant', 'x', '--frob'], 2, /--frob/],
      [['docs', '--tenant', 'x', '--key', 'a b'], 2, /a key has 1 to 512 characters/],
      [['docs', '--tenant', ''], 2, /a tenant has 1 to 200 characters/],
    ]
    const outcomes = await Promise.all(cases.map(([args]) => importing(args).ended))
    for (const [index, [args, expected, sentence]] of cases.entries()) {
      expect([args, outcomes[index]]).toEqual([
        args,
        { code: expected, said: expect.stringMatching(sentence) },
      ])
      expect(outcomes[index]?.said).not.toMatch(/^\s+at /m)
    }
  })

  it('says when Postgres is not there', async () => {
    const folder = await dumpFolder(SITE)
    const env = { DATABASE_URL: 'postgres://u:secret@127.0.0.1:1/x' }
    const { code, said } = await importing([folder, '--tenant', 'x'], env).ended
    expect(code).toBe(1)
    expect(said).toMatch(/ECONNREFUSED/)
    expect(said).not.toMatch(/secret|^\s+at /m)
  })
})
