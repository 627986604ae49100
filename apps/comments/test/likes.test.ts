import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDatabase } from '../src/db/index.js'
import { ensureTenant } from '../src/tenants.js'
import { type Answer, Api } from './support/api.js'
import { environmentFor, makeDatabase, type Spawned, spawnService } from './support/service.js'

let services: readonly Spawned[] = []
let cleanUp = async () => {}
let api: Api

beforeAll(async () => {
  const database = await makeDatabase()
  const environment = environmentFor(database.url)
  // All four migrate the same empty database at once.
  services = await Promise.all(Array.from({ length: 4 }, () => spawnService(environment)))
  const db = openDatabase(database.url)
  await ensureTenant(db, { id: 'crowd', name: 'Crowd', plan: 'BUSINESS', key: 'crowd-key' })
  api = new Api(services[0]?.url ?? '', 'crowd-key', 'crowd')
  cleanUp = async () => {
    await db.close()
    await Promise.all(services.map(({ stop }) => stop()))
    await database.drop()
  }
}, 60_000)
afterAll(() => cleanUp())

/** The same call of many users at once, spread over the processes. */
function crowd(users: readonly string[], method: string, path: string): Promise<readonly Answer[]> {
  return Promise.all(
    users.map((user, i) => api.at(services[i % services.length]?.url ?? '').call(method, path, { user })),
  )
}

function expectDone(answers: readonly Answer[]): void {
  const statuses = new Set(answers.map(({ status }) => status))
  const because = statuses.size === 1 ? [] : services.flatMap(({ complaints }) => complaints)
  expect({ statuses, because }).toEqual({ statuses: new Set([200]), because: [] })
}
const same = Array.from({ length: 200 }, () => 'ann')
const different = Array.from({ length: 200 }, (_, i) => `user ${i}`)

describe('over four processes, by a tenant whose bucket holds 1,000', () => {
  it('200 likes at once by one user count 1, each is answered, and one of them was the first', async () => {
    await api.entity('e')
    const comment = await api.comment('e', 'liked by one')
    const answers = await crowd(same, 'PUT', `/v1/comments/${comment}/like`)
    expectDone(answers)
    expect(new Set(answers.map(({ body }) => body.likes))).toEqual(new Set([1]))
    expect(answers.filter(({ body }) => !body.alreadyLiked)).toHaveLength(1)
    for (const { url } of services) {
      expect((await api.at(url).get(`/v1/comments/${comment}`)).body.likes).toBe(1)
    }
  })

  it('200 likes at once by 200 users count 200, in the comment and in its thread at every process', async () => {
    await api.entity('e')
    const comment = await api.comment('e', 'liked by many')
    const answers = await crowd(different, 'PUT', `/v1/comments/${comment}/like`)
    expectDone(answers)
    expect(answers.filter(({ body }) => body.alreadyLiked)).toHaveLength(0)
    expect(new Set(answers.map(({ body }) => body.likes)).size).toBe(200)
    for (const { url } of services) {
      expect((await api.at(url).get(`/v1/comments/${comment}`)).body.likes).toBe(200)
      const { items } = (await api.at(url).thread('e')).body
      expect(items.find(({ id }: { id: string }) => id === comment).likes).toBe(200)
    }
  })

  it('likes and unlikes of one user at once leave a count that is the truth', async () => {
    await api.entity('e')
    const comment = await api.comment('e', 'undecided')
    const calls = Array.from({ length: 60 }, (_, i) =>
      api
        .at(services[i % services.length]?.url ?? '')
        .call(i % 3 === 0 ? 'DELETE' : 'PUT', `/v1/comments/${comment}/like`, { user: 'ann' }),
    )
    expectDone(await Promise.all(calls))
    const { likes } = (await api.get(`/v1/comments/${comment}`)).body
    const last = (await api.put(`/v1/comments/${comment}/like`, { user: 'ann' })).body
    expect(last).toEqual({ likes: 1, alreadyLiked: likes === 1 })
  })
})
