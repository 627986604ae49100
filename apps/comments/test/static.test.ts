import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { page } from '../src/routes/page.js'
import { type Listening, listen } from '../src/server.js'

let folder = ''
let server: Listening

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'page-'))
  const files = join(folder, 'files')
  await mkdir(join(files, 'sub'), { recursive: true })
  await writeFile(join(folder, 'secret.txt'), 'secret')
  await writeFile(join(files, 'index.html'), '<p>page')
  await writeFile(join(files, 'sub', 'a.js'), 'export {}')
  await writeFile(join(files, '.hidden.txt'), 'secret')
  await writeFile(join(files, 'no-kind.key'), 'secret')
  await symlink(join(folder, 'secret.txt'), join(files, 'link.txt'))
  const router = new Hono()
  const handler = page(files)
  router.get('/', handler)
  router.get('/page/*', handler)
  server = await listen((incoming) => router.fetch(incoming), { host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

/** With the path as it is: `fetch` would tidy it up. */
function get(
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; type: string; policy: string; text: string; etag: string }> {
  return new Promise((done, fail) => {
    const call = request(
      { host: '127.0.0.1', port: server.port, path, headers, agent: false },
      (response) => {
        let text = ''
        response.on('data', (part) => (text += String(part)))
        const {
          'content-type': type = '',
          'content-security-policy': policy = '',
          etag = '',
        } = response.headers
        response.on('end', () => {
          done({ status: response.statusCode ?? 0, type, policy: String(policy), text, etag })
        })
      },
    )
    call.on('error', fail)
    call.end()
  })
}

describe('the page', () => {
  it('is served with a policy that lets nothing in from elsewhere and nothing inline', async () => {
    const home = await get('/')
    expect(home).toMatchObject({ status: 200, type: 'text/html; charset=utf-8', text: '<p>page' })
    expect(home.policy).toContain("default-src 'none'")
    expect(home.policy).not.toMatch(/unsafe|\*|http/)
    expect(await get('/page/sub/a.js')).toMatchObject({ status: 200, type: 'text/javascript; charset=utf-8' })
    expect((await get('/', { 'if-none-match': home.etag })).status).toBe(304)
  })

  it.each([
    '/page/../secret.txt',
    '/page/%2e%2e/secret.txt',
    '/page/..%2fsecret.txt',
    '/page/sub/..%2f..%2fsecret.txt',
    '/page/%2e%2e%2fsecret.txt',
    '/page/..%5csecret.txt',
    '/page//secret.txt',
    '/page/%2fetc%2fpasswd',
    '/page/.hidden.txt',
    '/page/no-kind.key',
    '/page/link.txt',
    '/page/index.html%00.txt',
    '/page/%',
    '/page/%ff',
    '/page/sub',
    '/page/',
    '/page/nothing.html',
  ])('keeps to its folder: %s', async (path) => {
    const answer = await get(path)
    expect([400, 404]).toContain(answer.status)
    expect(answer.text).not.toBe('secret')
  })
})
