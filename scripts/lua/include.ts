import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HeaderError } from './header.js'
import { parseLua, withoutComments } from './parse.js'

const INCLUDE = /^-- include: ((?:\.\.\/)*([a-z_]+)(?:\.part)?\.lua)$/gm

/** A part of scripts is none by itself: it may have no key, and return several values to whoever includes it. */
export const isPart = (path: string): boolean => path.endsWith('.part.lua')

/**
 * A script that includes others, or parts, each of them as a function `(KEYS, ARGV)` of its name: `-- include: decide.lua` is
 * `decide`, and so is `-- include: ../decide.part.lua`. What is included includes nothing.
 */
export function withIncluded(path: string, text: string): string {
  return text.replace(INCLUDE, (_, file: string, name: string, at: number) => {
    const included = join(dirname(path), file)
    if (!existsSync(included))
      throw new HeaderError(text.slice(0, at).split('\n').length, `${file} is included, and is not there`)
    const source = withoutComments(parseLua(readFileSync(included, 'utf8')))
    return functionOf(name, `\n${source}\n`)
  })
}

/** The same for who looks at this script alone, with its lines where they are: what is included is looked at by itself. */
export function withStubs(text: string): string {
  return text.replace(INCLUDE, (_, __: string, name: string) => functionOf(name, ' '))
}

/** What it does not read has no name. */
const functionOf = (name: string, body: string): string => {
  const parameters = ['KEYS', 'ARGV'].map((one) => (body.includes(one) ? one : '_'))
  return `local function ${name}(${parameters.join(', ')})${body}end`
}
