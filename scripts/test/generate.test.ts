import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { luaFiles } from '../lua/files.js'
import { moduleOf } from '../lua/module.js'
import { parseLua, withoutComments } from '../lua/parse.js'

const stripped = (...lines: string[]) => withoutComments(parseLua(`${lines.join('\n')}\n`))

describe('the generated module of a script', () => {
  const text = [
    '-- Counts.',
    '--',
    '-- @key state the counter',
    '-- @arg limit how many',
    '-- @arg ids... which',
    '-- @return n',
    "return redis.call('GET', KEYS[1]) -- the counter",
  ].join('\n')
  const made = moduleOf({ path: 'p/src/ratelimit/count.lua', sourceRoot: 'p/src' }, text)

  it('has the names of the header, in its order, as types and as values', () => {
    expect(made).toContain("import type { ScriptSource } from '../redis/script.js'")
    expect(made).toContain("ScriptSource<'state', 'limit' | 'ids...'>")
    expect(made).toContain("name: 'ratelimit/count'")
    expect(made).toContain("keys: ['state']")
    expect(made).toContain("args: ['limit', 'ids...']")
  })

  it('carries the SHA-1 of exactly the text that is sent', () => {
    const source = JSON.parse(/source: (".*")/.exec(made)?.[1] ?? '') as string
    expect(source).toBe("\n\n\n\n\n\nreturn redis.call('GET', KEYS[1])\n")
    expect(made).toContain(`sha1: '${createHash('sha1').update(source).digest('hex')}'`)
  })

  it('does not depend on where the checkout lies', () => {
    expect(moduleOf({ path: '/a b/src/ratelimit/count.lua', sourceRoot: '/a b/src' }, text)).toBe(made)
  })
})

describe('stripping comments', () => {
  it('leaves what looks like a comment in a string alone', () => {
    const code = ["local a = '-- one'", 'local b = "--[[ two"', 'local c = [[', '-- three', ']]']
    expect(stripped(...code)).toBe(`${code.join('\n')}\n`)
  })

  it('keeps every line at its number, so that the line in an error of Redis is the line of the file', () => {
    expect(stripped('--[[ one', 'two ]] local a = 1', '-- three', 'local b = a')).toBe(
      '\n local a = 1\n\nlocal b = a\n',
    )
  })

  it('never joins two words', () => {
    expect(stripped('local--[[x]]a = 1')).toBe('local a = 1\n')
  })

  it('drops the blanks in front of a comment at the end of a line', () => {
    expect(stripped('return 1   -- one')).toBe('return 1\n')
  })
})

describe('the scripts of the product', () => {
  const repository = fileURLToPath(new URL('../..', import.meta.url))
  /** The syntax tree without the places, and the comments, of its nodes. */
  const treeOf = (text: string) =>
    JSON.stringify(parseLua(text).chunk, (name, value: unknown) =>
      ['loc', 'range', 'comments'].includes(name) ? undefined : value,
    )

  it.each(luaFiles(repository).map(({ path }) => [relative(repository, path), path]))(
    '%s runs the same without its comments',
    (_, path) => {
      const text = readFileSync(path, 'utf8')
      const bare = withoutComments(parseLua(text))
      expect(treeOf(bare)).toBe(treeOf(text))
      expect(parseLua(bare).comments).toEqual([])
    },
  )
})

describe('npm run generate', () => {
  const root = mkdtempSync(join(tmpdir(), 'generate with spaces '))
  const folder = join(root, 'packages', 'one', 'src', 'lock')
  const lua = join(folder, 'extend.lua')
  const generate = (...args: string[]) => {
    const script = fileURLToPath(new URL('../generate.ts', import.meta.url))
    const run = spawnSync(process.execPath, ['--import', import.meta.resolve('tsx'), script, ...args], {
      cwd: root,
    })
    return { status: run.status, errors: run.stderr.toString() }
  }

  beforeAll(() => {
    mkdirSync(folder, { recursive: true })
    writeFileSync(lua, "-- Extends.\n-- @key lock\n-- @return n\nreturn redis.call('GET', KEYS[1])\n")
  })
  afterAll(() => rmSync(root, { recursive: true }))

  it('writes what --check then finds up to date, until the script changes', () => {
    expect(generate('--check')).toMatchObject({ status: 1, errors: expect.stringContaining('out of date') })
    expect(generate()).toEqual({ status: 0, errors: '' })
    expect(readFileSync(`${lua}.ts`, 'utf8')).toContain("name: 'lock/extend'")
    expect(generate('--check')).toEqual({ status: 0, errors: '' })
    writeFileSync(lua, "-- Extends.\n-- @key lock\n-- @return n\nreturn redis.call('TTL', KEYS[1])\n")
    expect(generate('--check')).toMatchObject({
      status: 1,
      errors: expect.stringContaining('extend.lua.ts is out of'),
    })
  })

  it('puts a script that another includes into it as a function, and writes both anew when it changes', () => {
    const both = join(folder, 'both.lua')
    writeFileSync(lua, "-- Extends.\n-- @key lock\n-- @return n\nreturn redis.call('GET', KEYS[1])\n")
    const header = '-- Both.\n-- @key one\n-- @key other\n-- @return n\n-- include: extend.lua\n'
    const body = 'return { extend({ KEYS[1] }), extend({ KEYS[2] }) }\n'
    writeFileSync(both, `${header}${body}`)
    expect(generate()).toEqual({ status: 0, errors: '' })
    const made = readFileSync(`${both}.ts`, 'utf8')
    const source = JSON.parse(/source: (".*")/.exec(made)?.[1] ?? '') as string
    expect(source.replaceAll(/\s+/g, ' ').trim()).toBe(
      `local function extend(KEYS, _) return redis.call('GET', KEYS[1]) end ${body.trim()}`,
    )
    writeFileSync(lua, "-- Extends.\n-- @key lock\n-- @return n\nreturn redis.call('TTL', KEYS[1])\n")
    expect(generate('--check').errors).toContain('both.lua.ts is out of')
    rmSync(both)
    expect(generate().status).toBe(0)
  })

  it('makes nothing of a part of scripts but what includes it, from a folder above too', () => {
    writeFileSync(
      join(folder, 'sum.part.lua'),
      '-- Adds.\n-- @arg n what\n-- @return n, n\nreturn ARGV[1], ARGV[1]\n',
    )
    mkdirSync(join(folder, 'below'), { recursive: true })
    const both = join(folder, 'below', 'both.lua')
    const header = '-- Both.\n-- @key one\n-- @return n\n-- include: ../sum.part.lua\n'
    writeFileSync(both, `${header}local a, b = sum({}, { redis.call('GET', KEYS[1]) })\nreturn a + b\n`)
    expect(generate()).toEqual({ status: 0, errors: '' })
    expect(readFileSync(`${both}.ts`, 'utf8')).toContain('local function sum(_, ARGV)')
    expect(existsSync(join(folder, 'sum.part.lua.ts'))).toBe(false)
    rmSync(join(folder, 'sum.part.lua'))
    expect(generate()).toMatchObject({
      status: 1,
      errors: expect.stringMatching(
        /both\.lua:4: \.\.\/sum\.part\.lua is included, and is not there\n$/,
      ) as string,
    })
    rmSync(join(folder, 'below'), { recursive: true })
    expect(generate().status).toBe(0)
  })

  it('takes away the module of a script that is gone', () => {
    expect(generate().status).toBe(0)
    rmSync(lua)
    expect(generate('--check')).toMatchObject({
      status: 1,
      errors: expect.stringContaining('has lost its Lua'),
    })
    expect(generate().status).toBe(0)
    expect(generate('--check')).toEqual({ status: 0, errors: '' })
  })

  it('names file and line of a header it cannot read', () => {
    writeFileSync(lua, '-- Extends.\n-- @kee lock\n-- @return n\n')
    expect(generate()).toMatchObject({
      status: 1,
      errors: expect.stringMatching(/extend\.lua:2: unknown tag @kee/),
    })
  })
})
