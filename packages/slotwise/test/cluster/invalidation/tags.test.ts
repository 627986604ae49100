import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TagVersions } from '../../../src/invalidation/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { rounds } from '../../support/budget.js'
import { gate } from '../cache/gate.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `tags-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const fresh = (options = {}) => new TagVersions(port, { name: `t${randomUUID().slice(0, 8)}`, ...options })

/** The key of a tag, for what happens to it behind everybody's back. */
const keyIn = (name: string, path: string) =>
  keyOf({ namespace: port.namespace, pattern: 'tag', name }, path.split('/'))

describe('a change', () => {
  it('is seen by every snapshot taken before it, and by none taken after', async () => {
    await using tags = fresh()
    const before = await tags.snapshot(['a', 'b'])
    expect(await tags.changedSince(before)).toEqual([])
    await tags.bump(['a'])
    expect(await tags.changedSince(before)).toEqual(['a'])
    const after = await tags.snapshot(['a', 'b'])
    expect(await tags.changedSince(after)).toEqual([])
  })

  it('of a tag concerns everything below it, and nothing beside or above it', async () => {
    await using tags = fresh()
    const snapshots = {
      org: await tags.snapshot(['org:7']),
      users: await tags.snapshot(['org:7/users']),
      user: await tags.snapshot(['org:7/users/3']),
      like: await tags.snapshot(['org:70/users']),
    }
    await tags.bump(['org:7/users'])
    expect(await tags.changedSince(snapshots.org)).toEqual([])
    expect(await tags.changedSince(snapshots.users)).toEqual(['org:7/users'])
    expect(await tags.changedSince(snapshots.user)).toEqual(['org:7/users'])
    await tags.bump(['org:7'])
    expect(await tags.changedSince(snapshots.org)).toEqual(['org:7'])
    expect(await tags.changedSince(snapshots.like)).toEqual([])
  })

  it('stays within its tenant', async () => {
    await using tags = fresh()
    const [acme, other] = [tags.forTenant('acme'), tags.forTenant('other')]
    const [ofAcme, ofOther, ofAll] = [
      await acme.snapshot(['a']),
      await other.snapshot(['a']),
      await tags.snapshot(['a']),
    ]
    await acme.bump(['a'])
    expect(await acme.changedSince(ofAcme)).toEqual(['a'])
    expect(await other.changedSince(ofOther)).toEqual([])
    expect(await tags.changedSince(ofAll)).toEqual([])
  })

  it('is seen although the server has forgotten the tag: what is not there has changed', async () => {
    const name = `t${randomUUID().slice(0, 8)}`
    await using tags = new TagVersions(port, { name })
    const before = await tags.snapshot(['a'])
    await port.call({ key: keyIn(name, 'a'), command: ['DEL', keyIn(name, 'a')] })
    expect(await tags.changedSince(before)).toEqual(['a'])
    await tags.snapshot(['a'])
    expect(await tags.changedSince(before)).toEqual(['a'])
  })
})

describe('a change of the database', () => {
  it('leaves nothing valid that was read before it or while it was under way', async () => {
    await using tags = fresh()
    const before = await tags.snapshot(['a'])
    const [begun, commit] = [gate(), gate()]
    const mutation = tags.mutate(['a'], {}, async () => {
      begun.open()
      await commit.passed
      return 'written'
    })
    await begun.passed
    expect(await tags.changedSince(before)).toEqual(['a'])
    const during = await tags.snapshot(['a/b'])
    expect(during).toEqual({ a: null, 'a/b': expect.any(String) })
    expect(await tags.changedSince(during)).toEqual(['a'])
    commit.open()
    expect(await mutation).toBe('written')
    expect(await tags.changedSince(during)).toEqual(['a'])
    const after = await tags.snapshot(['a'])
    expect(await tags.changedSince(after)).toEqual([])
  })

  it('keeps the tag without a version until the last of several has ended', async () => {
    await using tags = fresh()
    const commits = [gate(), gate()]
    const begun = [gate(), gate()]
    const mutations = commits.map((commit, i) =>
      tags.mutate(['a'], {}, async () => {
        begun[i]?.open()
        await commit.passed
      }),
    )
    await Promise.all(begun.map(({ passed }) => passed))
    commits[0]?.open()
    await mutations[0]
    expect(await tags.snapshot(['a'])).toEqual({ a: null })
    commits[1]?.open()
    await mutations[1]
    expect(await tags.snapshot(['a'])).toEqual({ a: expect.any(String) })
  })

  it('that a dead process had begun ends with its intent', async () => {
    await using tags = fresh()
    const begun = gate()
    void tags.mutate(['a'], { intentMs: 500 }, () => {
      begun.open()
      return new Promise(() => {})
    })
    await begun.passed
    expect(await tags.snapshot(['a'])).toEqual({ a: null })
    await expect.poll(() => tags.snapshot(['a']), { interval: 5 }).toEqual({ a: expect.any(String) })
  })

  it('that fails may have been committed, so the tag has changed all the same', async () => {
    await using tags = fresh()
    const during: unknown[] = []
    const before = await tags.snapshot(['a'])
    const failing = tags.mutate(['a'], {}, async () => {
      during.push(await tags.changedSince(before))
      throw new Error('the connection broke behind COMMIT')
    })
    await expect(failing).rejects.toThrow('behind COMMIT')
    expect(during).toEqual([['a']])
    expect(await tags.snapshot(['a'])).toEqual({ a: expect.any(String) })
    expect(await tags.changedSince(before)).toEqual(['a'])
  })

  it('is told to end before its intent does', async () => {
    await using tags = fresh()
    const from = performance.now()
    const reason = await tags.mutate(
      ['a'],
      { intentMs: 1000 },
      ({ signal }) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason))),
    )
    expect(reason).toMatchObject({ name: 'TimeoutError' })
    expect(performance.now() - from).toBeLessThan(1000)
  })

  it('lets replicas of the database catch up before the tag has a version again', async () => {
    await using tags = fresh()
    await tags.mutate(['a'], { replicaLagMs: 80 }, () => {})
    expect(await tags.snapshot(['a'])).toEqual({ a: null })
    await expect.poll(() => tags.snapshot(['a']), { interval: 5 }).toEqual({ a: expect.any(String) })
  })
})

it('whatever the order of changes, evictions, failovers and snapshots, a snapshot holds exactly while all above and at its tags is as it was', async () => {
  const paths = ['a', 'a/b', 'a/b/c', 'a/d', 'e']
  const path = fc.constantFrom(...paths)
  const step = fc.oneof(
    fc.record({ kind: fc.constant('snapshot' as const), tags: fc.uniqueArray(path, { minLength: 1 }) }),
    fc.record({ kind: fc.constant('bump' as const), tags: fc.uniqueArray(path, { minLength: 1 }) }),
    fc.record({ kind: fc.constant('begin' as const), tags: fc.uniqueArray(path, { minLength: 1 }) }),
    fc.record({ kind: fc.constant('end' as const), nth: fc.nat(3) }),
    fc.record({ kind: fc.constant('evict' as const), path }),
    // A replica has what is there now, and takes over later.
    fc.record({ kind: fc.constantFrom('replicate' as const, 'take over' as const), path }),
  )
  const above = (one: string) => one.split('/').map((_, i, words) => words.slice(0, i + 1).join('/'))
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
      const name = `t${randomUUID().slice(0, 8)}`
      await using tags = new TagVersions(port, { name })
      /** In which state each is, how many it has had, by how many changes it is being changed, and whether it has a version. */
      const untouched = () => ({ state: 0, latest: 0, open: 0, isVersioned: false })
      const states = new Map(paths.map((one) => [one, untouched()]))
      const at = (one: string) => states.get(one) ?? untouched()
      const change = (one: string) => Object.assign(at(one), { state: ++at(one).latest, isVersioned: false })
      const replicas = new Map<string, { fields: readonly Buffer[]; state: number }>()
      const taken: { snapshot: Awaited<ReturnType<typeof tags.snapshot>>; states: Map<string, number> }[] = []
      const open: { tags: readonly string[]; commit: () => void; ended: Promise<void> }[] = []
      const end = async (nth: number) => {
        const [one] = open.splice(nth % Math.max(1, open.length), 1)
        one?.commit()
        await one?.ended
        for (const tag of one?.tags ?? []) {
          at(tag).open--
          change(tag)
        }
      }
      for (const one of steps) {
        if (one.kind === 'snapshot') {
          const snapshot = await tags.snapshot(one.tags)
          const all = new Set(one.tags.flatMap(above))
          expect(Object.keys(snapshot).toSorted()).toEqual([...all].toSorted())
          // What is being changed has never been as it was then.
          taken.push({
            snapshot,
            states: new Map([...all].map((tag) => [tag, at(tag).open > 0 ? -1 : at(tag).state])),
          })
          for (const tag of all) at(tag).isVersioned = at(tag).open === 0
        } else if (one.kind === 'bump') {
          await tags.bump(one.tags)
          for (const tag of one.tags) change(tag)
        } else if (one.kind === 'begin') {
          const [begun, commit] = [gate(), gate()]
          const ended = tags.mutate(one.tags, {}, async () => {
            begun.open()
            await commit.passed
          })
          await begun.passed
          for (const tag of one.tags) {
            at(tag).open++
            change(tag)
          }
          open.push({ tags: one.tags, commit: () => commit.open(), ended })
        } else if (one.kind === 'end') {
          if (open.length > 0) await end(one.nth)
        } else if (at(one.path).open === 0) {
          const key = keyIn(name, one.path)
          const replica = replicas.get(one.path)
          if (one.kind === 'replicate') {
            const fields = await port.call({ key, command: ['HGETALL', key] }, { binary: true })
            replicas.set(one.path, { fields: fields as readonly Buffer[], state: at(one.path).state })
          } else if (one.kind === 'evict' || replica !== undefined) {
            // An intent that is evicted is one that nobody knows of any more: see the page.
            await port.call({ key, command: ['DEL', key] })
            change(one.path)
            if (one.kind === 'take over' && replica !== undefined && replica.fields.length > 0) {
              // What was changed since has not changed; what had a version since has it for nobody.
              await port.call({ key, command: ['HSET', key, ...replica.fields] })
              Object.assign(at(one.path), { state: replica.state, isVersioned: true })
            }
          }
        }
        for (const { snapshot, states: then } of taken) {
          const changed = [...then].filter(([tag, state]) => at(tag).state !== state).map(([tag]) => tag)
          expect([...(await tags.changedSince(snapshot))].toSorted()).toEqual(changed.toSorted())
        }
      }
      while (open.length > 0) await end(0)
    }),
    { numRuns: rounds(15, 400) },
  )
})

describe('what cannot be a tag', () => {
  it.each([
    ['empty', ['']],
    ['too long', ['x'.repeat(513)]],
    ['no text', [7 as unknown as string]],
    ['one of too many', Array.from({ length: 65 }, (_, n) => `t${n}`)],
    ['too deep', [Array.from({ length: 65 }, (_, n) => `t${n}`).join('/')]],
  ])('is refused: %s', async (_, list) => {
    await using tags = fresh()
    await expect(tags.snapshot(list)).rejects.toMatchObject({ code: 'CONFIGURATION' })
  })

  it('is not what has braces, blanks, slashes at its ends or other alphabets in it', async () => {
    await using tags = fresh()
    const odd = ['{a}', '}{', ' ', '/', '//', 'a/', '/a', 'ключ', '\u0000', 'a:b', '*', '%']
    const snapshot = await tags.snapshot(odd)
    for (const tag of odd) {
      await tags.bump([tag])
      expect(await tags.changedSince(await tags.snapshot(odd))).toEqual([])
    }
    expect([...(await tags.changedSince(snapshot))].toSorted()).toEqual([...odd].toSorted())
  })
})
