import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError, loadConfig } from '../src/config.js'

const NEEDED = { DATABASE_URL: 'postgres://comments@db:5432/comments', REDIS_NODES: 'a:1,b:2' }

describe('the environment', () => {
  let dir = ''
  const file = async (name: string, text: string) => {
    await writeFile(join(dir, name), text)
    return join(dir, name)
  }
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'comments-config-'))
  })
  afterAll(() => rm(dir, { recursive: true, force: true }))

  it('gives secrets by files, whose last line break is not part of them', async () => {
    const config = loadConfig({
      ...NEEDED,
      REDIS_USERNAME: 'app',
      REDIS_PASSWORD: 'from the environment',
      REDIS_PASSWORD_FILE: await file('redis', 'from a file\n'),
      DATABASE_PASSWORD_FILE: await file('database', 'p@ss/word:1%\n'),
      REDIS_TLS_CA_FILE: await file('ca', '-----BEGIN CERTIFICATE-----\n'),
      REDIS_NODE_TIMEOUT_MS: '5000',
    })
    expect(config).toMatchObject({
      redisUsername: 'app',
      redisPassword: 'from a file',
      redisCa: '-----BEGIN CERTIFICATE-----',
      redisNodeTimeoutMs: 5000,
    })
    expect(decodeURIComponent(new URL(config.databaseUrl).password)).toBe('p@ss/word:1%')
    expect(new URL(config.databaseUrl).username).toBe('comments')
  })

  it('says what to do about servers that may evict what waits', () => {
    expect(loadConfig(NEEDED).evictionCheck).toBe('refuse')
    expect(loadConfig({ ...NEEDED, EVICTION_CHECK: 'off' }).evictionCheck).toBe('off')
    expect(() => loadConfig({ ...NEEDED, EVICTION_CHECK: 'never' })).toThrow(ConfigError)
  })

  it('says whose word is taken about the address of a client, by number or by network', () => {
    const trusted = (text: string) => loadConfig({ ...NEEDED, TRUSTED_PROXIES: text }).trustedProxies
    expect(loadConfig(NEEDED).trustedProxies).toBeUndefined()
    expect(trusted('2')).toBe(2)
    expect(trusted('10.0.0.0/8, ::1')).toEqual(['10.0.0.0/8', '::1'])
    for (const wrong of ['0', '-1', '99', '10.0.0.0/33', 'nginx', ','])
      expect(() => trusted(wrong)).toThrow(ConfigError)
  })

  it('takes a variable that is empty for one that is not there', () => {
    const config = loadConfig({ ...NEEDED, REDIS_USERNAME: '', REDIS_TLS_CA_FILE: '', PORT: '' })
    expect(config).toMatchObject({ redisUsername: undefined, redisCa: undefined, port: 8080 })
  })

  it('names the variable whose file is missing or empty', async () => {
    const load = (path: string) => () => loadConfig({ ...NEEDED, REDIS_PASSWORD_FILE: path })
    expect(load(join(dir, 'nothing'))).toThrow(/REDIS_PASSWORD_FILE: .*nothing cannot be read \(ENOENT\)/)
    expect(load(await file('empty', '\n'))).toThrow(ConfigError)
  })

  it('quotes no secret in what it says', async () => {
    const secret = await file('secret', 'the secret')
    await chmod(secret, 0o600)
    expect(() =>
      loadConfig({
        ...NEEDED,
        REDIS_NODES: 'nonsense',
        REDIS_PASSWORD: 'hidden',
        REDIS_PASSWORD_FILE: secret,
      }),
    ).toThrow(/^the environment is not right: REDIS_NODES: must be host:port,host:port$/)
  })
})
