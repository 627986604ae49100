import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { LockAdmin, Locks } from '../../../slotwise/src/lock/index.js'
import { useOpsPort } from '../support/ops-port.js'
import { asOps, json, slotwise } from '../support/slotwise.js'

const env = asOps()
const { namespace, port } = useOpsPort()
/** Whatever else the machine does, none is over before it was looked at. */
const ttlMs = 900_000

let name = ''
let locks: Locks
beforeEach(() => {
  name = `n-${randomUUID().slice(0, 8)}`
  locks = new Locks(port(), {
    name,
    maxTtlMs: ttlMs,
    quarantine: false,
    evictionCheck: 'off',
    holder: 'web-1',
  })
})

const args = (...words: readonly string[]) => ['locks', ...words, '--namespace', namespace]

describe('the list of locks', { timeout: 120_000 }, () => {
  it('tells who holds which, for how long, and how many wait', async () => {
    const held = await locks.acquire(['invoice', 42], { ttlMs })
    const ofTenant = await locks.forTenant('acme').acquire('b', { ttlMs, holder: '' })
    const next = locks.acquire(['invoice', 42], { ttlMs, waitMs: ttlMs })
    const admin = new LockAdmin(port(), { name })
    await vi.waitFor(async () => expect((await admin.show(['invoice', 42])).waiting).toBe(1))
    const listed = await slotwise(args(), { env })
    expect(listed.code).toBe(0)
    // How far it has come is said where there are many keys, and other tests have some there.
    expect(listed.stderr).toMatch(/^(looking at keys [^\n]+\n)*$/)
    expect(listed.stdout).toMatch(/^NAME +TENANT +RESOURCE +HOLDER +LEFT +TOKEN +WAIT\n/)
    expect(listed.stdout).toMatch(
      new RegExp(`\n${name} +\\["invoice","42"\\] +web-1 +1\\d min \\d+ s +${held.token} +1\n`),
    )
    expect(listed.stdout).toMatch(new RegExp(`\n${name} +acme +b +1\\d min \\d+ s +${ofTenant.token} +0\n`))
    const { document } = await json(args('list', '--name', name, '--tenant', 'acme'), { env })
    expect(document).toEqual({
      command: 'locks list',
      complete: true,
      locks: [
        {
          key: ofTenant.key,
          name,
          tenant: { hashed: false, words: 'acme' },
          resource: { hashed: false, words: ['b'] },
          state: 'held',
          holder: null,
          remainingMs: expect.any(Number),
          token: String(ofTenant.token),
          waiting: 0,
          quarantinedUntil: null,
        },
      ],
    })
    await Promise.all([held.release(), ofTenant.release(), next.then((lock) => lock.release())])
  })

  it('says that there is none, and that there are more than were asked for', async () => {
    const none = await slotwise(args('--name', name), { env })
    expect(none).toMatchObject({ code: 0, stdout: 'No lock is held.\n' })
    const held = await Promise.all(['a', 'b', 'c'].map((one) => locks.acquire(one, { ttlMs })))
    const few = await slotwise(args('list', '--name', name, '--limit', '2'), { env })
    expect(few.stdout).toMatch(/\n\nThere are more than 2 locks: raise --limit\.\n$/)
    await Promise.all(held.map((lock) => lock.release()))
  })
})

describe('one lock', { timeout: 120_000 }, () => {
  it('is shown, with what its server may have forgotten', async () => {
    const free = await slotwise(args('show', 'q', '--name', name), { env })
    expect(free).toMatchObject({ code: 0, stdout: 'Nobody holds it.\n' })
    const held = await locks.acquire('q', { ttlMs })
    const shown = await slotwise(args('show', 'q', '--name', name), { env })
    expect(shown.stdout).toMatch(new RegExp(`^Held by web-1 for another .* · token ${held.token}\\.\n$`))
    await held.release()
    const other = `${name}-careful`
    const careful = new Locks(port(), { name: other, evictionCheck: 'off', maxTtlMs: 3_600_000 })
    // No server of tests is up for an hour.
    expect(await careful.tryAcquire('q', { ttlMs })).toMatchObject({ reason: 'quarantined' })
    const quarantined = await slotwise(args('show', 'q', '--name', other), { env })
    expect(quarantined.stdout).toMatch(
      /^Nobody holds it\.\nIts server may have forgotten locks: it gives none until \d{4}-.*Z\.\n$/,
    )
  })

  it('is freed only by force, and goes to the first who waits with a larger token', async () => {
    const held = await locks.acquire('a', { ttlMs })
    const next = locks.acquire('a', { ttlMs, waitMs: ttlMs })
    const admin = new LockAdmin(port(), { name })
    await vi.waitFor(async () => expect((await admin.show('a')).waiting).toBe(1))
    const refused = await slotwise(args('release', 'a', '--name', name), { env })
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(/Held by web-1 for another .*1 waiting\. Nothing was done\. With --force/)
    await held.extend()
    const done = await slotwise(args('release', 'a', '--name', name, '--force'), { env })
    expect(done).toMatchObject({
      code: 0,
      stdout: 'The lock of a is taken from web-1. The first who waits gets it.\n',
    })
    const got = await next
    expect(got.token).toBeGreaterThan(held.token)
    await expect(held.extend()).rejects.toMatchObject({ code: 'LOCK_LOST' })
    await got.release()
    const { document } = await json(args('release', 'a', '--name', name, '--force'), { env })
    expect(document).toMatchObject({ command: 'locks release', released: false, state: 'free' })
  })

  it('is named by its name too', async () => {
    const { code, stderr } = await slotwise(args('show', 'a'), { env })
    expect(code).toBe(2)
    expect(stderr).toContain("required option '--name <name>' not specified")
  })
})
