import { bodyOf } from '../../../../scripts/lua/twin/module.js'
import type { ScriptSource } from '../../src/redis/index.js'
import * as lua from '../../src/testing/lua/index.js'

const compiled = new Map<string, lua.Twin>()

/** The twin of a script that only tests have, such as one with a mistake in it, made on the spot as the generator makes it. */
export function compiledTwin(script: ScriptSource): lua.Twin {
  const { name, source, sha1 } = script
  const known = compiled.get(source)
  if (known !== undefined) return known
  // oxlint-disable-next-line no-implied-eval, typescript/no-implied-eval, no-new-func
  const make = new Function('lua', `return (redis) => {\n${bodyOf(source, { typed: false })}\n}`)
  const twin: lua.Twin = { name, sha1, run: (make as (library: typeof lua) => lua.Twin['run'])(lua) }
  compiled.set(source, twin)
  return twin
}
