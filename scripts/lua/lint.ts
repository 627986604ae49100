import { HeaderError, readHeader } from './header.js'
import { withStubs } from './include.js'
import { LuaSyntaxError, parseLua } from './parse.js'
import { callRules } from './rules/calls.js'
import { contractRules } from './rules/contract.js'
import { globalRules } from './rules/globals.js'
import { loopRules } from './rules/loops.js'
import { numberRules } from './rules/numbers.js'
import type { Finding } from './rules/rule.js'
import { resolve } from './scopes.js'

const RULES = [contractRules, globalRules, callRules, loopRules, numberRules]

/** Everything wrong with a script, in the order of its lines. */
export function lintLua(text: string, kind?: { readonly isPart: boolean }): Finding[] {
  try {
    const script = parseLua(withStubs(text))
    const header = readHeader(script, kind)
    const resolved = resolve(script.chunk)
    const findings = RULES.flatMap((rule) => rule({ ...script, ...resolved, header }))
    return findings.toSorted((a, b) => a.line - b.line)
  } catch (error) {
    if (!(error instanceof HeaderError || error instanceof LuaSyntaxError)) throw error
    return [{ line: error.line, message: error.message }]
  }
}
