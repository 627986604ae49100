import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parseLua, withoutComments } from './parse.js'

const INCLUDE = /^-- include: (([a-z_]+)\.lua)$/gm

/** A script that includes others, each of them as a function `(KEYS, ARGV)` of its name: `-- include: decide.lua` is `decide`. */
export function withIncluded(path: string, text: string): string {
  return text.replace(INCLUDE, (_, file: string, name: string) => {
    const source = withoutComments(parseLua(readFileSync(join(dirname(path), basename(file)), 'utf8')))
    return functionOf(name, `\n${source}\n`)
  })
}

/** The same for who looks at this script alone, with its lines where they are: what is included is looked at by itself. */
export function withStubs(text: string): string {
  return text.replace(INCLUDE, (_, __: string, name: string) => functionOf(name, ' '))
}

const functionOf = (name: string, body: string): string => `local function ${name}(KEYS, ARGV)${body}end`
