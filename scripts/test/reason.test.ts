import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RedisUnavailableError } from 'slotwise'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DumpError } from '../../apps/comments/src/import/dump.js'
import { Explained } from '../packages.mjs'
import { PostgresStartError } from '../postgres-place.js'
import { reason } from '../reason.js'

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'reason-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const failed = (code: string, message: string, more: object = {}) =>
  Object.assign(new Error(message), { code, ...more })

describe('why it did not start', () => {
  it.each([
    [
      'a full disk',
      failed('ENOSPC', 'ENOSPC: no space left on device, write'),
      /^The disk is full: free some space for /,
    ],
    [
      'a full disk, in the words of a server',
      new Error('initdb: could not write: No space left on device'),
      /^The disk is full: /,
    ],
    [
      'a folder of somebody else',
      failed('EACCES', 'EACCES: permission denied', { path: '/some/place' }),
      /^This user may not use \/some\/place: .*chown/,
    ],
    [
      'a disk that cannot be written',
      failed('EROFS', 'EROFS: read-only', { path: '/some/place' }),
      /^This user may not use \/some\/place/,
    ],
    [
      'a broken dump',
      new DumpError('Posts.xml', 17, 'Id is missing'),
      /^The data cannot be imported: Posts\.xml, row 17: Id is missing\.$/,
    ],
    [
      'servers that are away',
      new RedisUnavailableError('no node can be reached', { node: undefined, cause: undefined }),
      /^no node can be reached/,
    ],
    ['what is explained already', new Explained('Do this.'), /^Do this\.$/],
    ['what Postgres says', new PostgresStartError('Postgres does that.'), /^Postgres does that\.$/],
  ])('is said in one sentence: %s', async (_, failure, sentence) => {
    const said = await reason(failure, dir)
    expect(said).toMatch(sentence)
    expect(said).not.toMatch(/\n|^\s+at /m)
  })

  it('is said in one sentence that names a file with the rest, when nobody foresaw it', async () => {
    const said = await reason(new TypeError('x is not a function\nand more'), dir)
    expect(said).toBe(
      `It could not start: x is not a function; more about it is in ${join(dir, 'error.log')}.`,
    )
    expect(await readFile(join(dir, 'error.log'), 'utf8')).toMatch(/TypeError: x is not a function[^]*\bat /)
  })
})
