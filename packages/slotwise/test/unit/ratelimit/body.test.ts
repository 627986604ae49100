import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { whenRead } from '../../../src/ratelimit/http/body.js'
import type { Outcome } from '../../../src/ratelimit/http/index.js'

describe('a response that is followed', () => {
  /** For each test its own, since what earlier ones left may be told of later. */
  const listening = () => {
    const told: (number | undefined)[] = []
    return { told, ended: async ({ status }: Outcome) => void told.push(status) }
  }
  /** One that gives so many chunks and then ends or fails; `asked` is how many were asked for. */
  const streamed = (chunks: number, { status = 200, error }: { status?: number; error?: Error } = {}) => {
    const seen = { asked: 0, cancelled: undefined as unknown }
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          seen.asked++
          if (seen.asked <= chunks) controller.enqueue(new TextEncoder().encode(`${seen.asked};`))
          else if (error === undefined) controller.close()
          else controller.error(error)
        },
        cancel(reason) {
          seen.cancelled = reason
        },
      },
      { highWaterMark: 0 },
    )
    return { seen, response: new Response(body, { status, headers: { 'X-Own': 'yes' } }) }
  }
  const turns = () => new Promise((done) => setImmediate(done))

  it('is the same to who reads it, and has ended when the last of it has been read, not before', async () => {
    const { told, ended } = listening()
    const { response, work } = whenRead('GET', streamed(2, { status: 206 }).response, ended)
    expect([response.status, response.headers.get('x-own')]).toEqual([206, 'yes'])
    const reader = response.body?.getReader()
    const texts: unknown[] = []
    for (let i = 0; i < 2; i++) texts.push(new TextDecoder().decode((await reader?.read())?.value))
    await turns()
    expect([texts, told]).toEqual([['1;', '2;'], []])
    expect((await reader?.read())?.done).toBe(true)
    await work
    expect(told).toEqual([206])
  })

  it('is read no faster than it is asked for', async () => {
    const { ended } = listening()
    const { seen, response } = streamed(3)
    const followed = whenRead('GET', response, ended).response.body?.getReader()
    await turns()
    expect(seen.asked).toBe(0)
    await followed?.read()
    await turns()
    expect(seen.asked).toBe(1)
  })

  it('has ended without a status when it is cancelled, and what it came from hears of that', async () => {
    const { told, ended } = listening()
    const { seen, response } = streamed(3)
    const { response: followed, work } = whenRead('GET', response, ended)
    await followed.body?.cancel('gone')
    await work
    expect([told, seen.cancelled]).toEqual([[undefined], 'gone'])
  })

  it('has ended once where it is cancelled in the middle of a read', async () => {
    const { told, ended } = listening()
    const never = new Response(new ReadableStream({ pull: () => new Promise(() => {}) }))
    const { response, work } = whenRead('GET', never, ended)
    const reader = response.body?.getReader()
    const reading = reader?.read()
    await reader?.cancel()
    await Promise.all([work, reading])
    await turns()
    expect(told).toEqual([undefined])
  })

  it('has ended without a status when it fails, and who reads it hears of that', async () => {
    const { told, ended } = listening()
    const error = new Error('broken')
    const { response, work } = whenRead('GET', streamed(1, { error }).response, ended)
    await expect(response.text()).rejects.toBe(error)
    await work
    expect(told).toEqual([undefined])
  })

  it.each([
    ['without a body', 'GET', () => new Response(null, { status: 204 })],
    ['to a HEAD, of which nobody reads a body', 'HEAD', () => streamed(1).response],
  ])('has ended at once %s', async (_, method, make) => {
    const { told, ended } = listening()
    const given = make()
    const { response, work } = whenRead(method, given, ended)
    await work
    expect(response).toBe(given)
    expect(told).toEqual([given.status])
  })

  it('has ended when it is forgotten unread', async () => {
    const { told, ended } = listening()
    setFlagsFromString('--expose_gc')
    const collect = runInNewContext('gc') as () => void
    whenRead('GET', streamed(1).response, ended)
    await expect
      .poll(() => {
        collect()
        return told
      })
      .toEqual([undefined])
  })
})
