import { Agent, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDatabase } from '../src/db/index.js'
import { ensureTenant } from '../src/tenants.js'
import { environmentFor, makeDatabase, type Spawned, spawnService } from './support/service.js'

let environment: Readonly<Record<string, string>> = {}
let cleanUp = async () => {}

beforeAll(async () => {
  const database = await makeDatabase()
  environment = environmentFor(database.url)
  cleanUp = database.drop
})
afterAll(() => cleanUp())

/** One request over a kept connection: its status, or `refused` where no connection comes about. */
function get(agent: Agent, url: string): Promise<number | 'refused'> {
  return new Promise((done, fail) => {
    const headers = { authorization: 'Bearer drain-key' }
    const call = request(`${url}/v1/entities/e/comments`, { agent, headers }, (response) => {
      response.resume()
      response.on('end', () => done(response.statusCode ?? 0))
      response.on('error', fail)
    })
    call.on('error', (error: NodeJS.ErrnoException) =>
      // A connection that the kernel took and nobody accepted: nothing was sent over it.
      error.syscall === 'connect' ? done('refused') : fail(error),
    )
    call.end()
  })
}

describe('a rolling restart', () => {
  it('loses no request of callers with kept connections who go on elsewhere when nobody listens', async () => {
    const services: Spawned[] = await Promise.all([spawnService(environment), spawnService(environment)])
    const db = openDatabase(environment['DATABASE_URL'] ?? '')
    await ensureTenant(db, { id: 'drain', name: 'Drain', plan: 'ENTERPRISE', key: 'drain-key' })
    await db.kysely.insertInto('entities').values({ tenant_id: 'drain', id: 'e', title: 't' }).execute()

    const state = { over: false }
    let served = 0
    const caller = async (first: number) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      let at = first
      while (!state.over) {
        const answer = await get(agent, services[at % 2]?.url ?? '')
        if (answer === 'refused') at++
        else {
          expect(answer).toBe(200)
          served++
        }
        await new Promise((resume) => setTimeout(resume, Math.random() * 40))
      }
      agent.destroy()
    }
    const calling = Promise.all(Array.from({ length: 12 }, (_, i) => caller(i)))
    // It is awaited at the end, and may fail long before.
    calling.catch(() => {})
    try {
      // Until all have their connections: one that the kernel has taken and a busy process not yet is reset when it stops listening.
      await expect.poll(() => served, { timeout: 20_000 }).toBeGreaterThan(100)
      for (let i = 0; i < 4; i++) {
        const going = services[i % 2]
        const before = served
        expect(await going?.stop()).toBe(0)
        await expect.poll(() => served, { timeout: 20_000 }).toBeGreaterThan(before + 20)
        services[i % 2] = await spawnService(environment)
      }
      state.over = true
      await calling
    } finally {
      state.over = true
      await Promise.allSettled(services.map(({ stop }) => stop()))
      await db.close()
    }
    expect(served).toBeGreaterThan(100)
  }, 60_000)
})

describe('the process', () => {
  it('says in one sentence what is wrong with its environment, and no secret', async () => {
    await expect(
      spawnService({ ...environment, DATABASE_URL: 'mysql://secret@x', PORT: '70000' }),
    ).rejects.toThrow('ended with 2')
  })

  it('refuses a port that is taken', async () => {
    const first = await spawnService(environment)
    const { port } = new URL(first.url)
    await expect(spawnService({ ...environment, PORT: port })).rejects.toThrow('ended with 1')
    expect(await first.stop()).toBe(0)
  })
})
