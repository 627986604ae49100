import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { InvalidationPendingError, RedisUnavailableError } from '../../../src/errors.js'
import { purging, type TagChange, TagVersions } from '../../../src/invalidation/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { watched } from '../cache/watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `change-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

function telling(onChange?: (change: TagChange) => unknown) {
  const state = { isCut: false }
  const through = watched(port, () => {
    if (state.isCut) throw new RedisUnavailableError('cut off by the test')
  })
  const told: TagChange[] = []
  const errors: string[] = []
  const tags = new TagVersions(through, {
    name: 'pages',
    onChange: onChange ?? ((change) => told.push(change)),
    onError: ({ message }) => void errors.push(message),
  })
  return { state, told, errors, tags }
}

describe('who is told of changes', () => {
  it('hears of each that Redis has taken, with its tenant', async () => {
    const { told, tags } = telling()
    await tags.bump(['a', 'b', 'a'])
    await tags.forTenant('acme').bump(['c'])
    await tags.mutate(['d'], {}, () => expect(told).toHaveLength(2))
    expect(told).toEqual([
      { name: 'pages', tenant: undefined, tags: ['a', 'b'] },
      { name: 'pages', tenant: 'acme', tags: ['c'] },
      { name: 'pages', tenant: undefined, tags: ['d'] },
    ])
    tags.close()
  })

  it('hears of one that Redis takes later then, and of none before', async () => {
    const { state, told, tags } = telling()
    state.isCut = true
    const error: unknown = await tags.bump(['a']).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InvalidationPendingError)
    expect(told).toEqual([])
    state.isCut = false
    expect(await (error as InvalidationPendingError).settled).toBe(true)
    expect(told).toMatchObject([{ tags: ['a'] }])
    tags.close()
  })

  it('hears of a change whose transaction failed, for it may have been committed', async () => {
    const { told, tags } = telling()
    await expect(tags.mutate(['a'], {}, () => Promise.reject(new Error('lost connection')))).rejects.toThrow(
      'lost',
    )
    expect(told).toMatchObject([{ tags: ['a'] }])
    tags.close()
  })

  it('breaks nothing by failing, at once or later, and is heard', async () => {
    for (const onChange of [
      () => {
        throw new Error('no CDN')
      },
      () => Promise.reject(new Error('no CDN')),
    ]) {
      const { errors, tags } = telling(onChange)
      await tags.bump(['a'])
      await expect.poll(() => errors).toEqual(['no CDN'])
      tags.close()
    }
  })

  it('may be a purge', async () => {
    const purged: (readonly string[])[] = []
    const { tags } = telling(purging({ cdn: 'fastly' }, (keys) => void purged.push(keys)))
    await tags.forTenant('acme').bump(['org:7'])
    await expect.poll(() => purged).toEqual([['pages~acme~org:7']])
    tags.close()
  })
})
