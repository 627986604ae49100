import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const repository = fileURLToPath(new URL('../../../..', import.meta.url))
const programs = readdirSync(join(repository, 'examples')).filter((name) => name.endsWith('.ts'))

/** What the last lines of a program say, where they are the point of it. */
const ENDS: Readonly<Record<string, readonly string[]>> = {
  'cache.ts': ['after invalidate: second', 'after writeThrough: third by hit'],
  'caching.ts': [
    'read:    first, queries 3',
    "tree: [ 'c-1' ]",
    'a total that was overtaken is stored: false',
  ],
  'ratelimit-http.ts': ['"burst";q=3;w=3, "hour";q=100;w=3600'],
  'ratelimit-shared.ts': [
    'ada: 50 of 60 allowed',
    'bob: 50 of 60 allowed',
    "the tenant's tokens: mostly without asking",
  ],
  'outbox.ts': ['before: first', 'after: second'],
  'writebehind.ts': ['0 changes wait', 'written: 1100 views'],
  'lock.ts': ['the next token is larger: true'],
  'races.ts': [
    'ttl',
    'delete-after-commit',
    'second-delete',
    'death',
    'write-through',
    'version',
    'tag-during-load',
    'tag-lost',
    'lease',
    'lagging-replica',
  ].map((race) => `${race}: naive old, ours new`),
}

it.each(programs)('examples/%s runs as it stands, and ends by itself', { timeout: 60_000 }, async (name) => {
  const args = ['--import', 'tsx', '--conditions=slotwise-source', join('examples', name)]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    cwd: repository,
    timeout: 50_000,
    killSignal: 'SIGKILL',
  })
  const ends = ENDS[name] ?? []
  const lines = stdout.trim().split('\n')
  expect([stderr, lines.slice(lines.length - ends.length)]).toEqual(['', ends])
  expect(stdout).not.toBe('')
})
