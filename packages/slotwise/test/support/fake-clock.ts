import { createHash } from 'node:crypto'
import type { ScriptSource } from '../../src/redis/index.js'

/**
 * The same script by another clock: TIME is answered from one more argument, in microseconds since 1970. Keys do
 * not expire by that clock, so a test that moves it far takes care of them itself.
 */
export function withFakeClock<K extends string, A extends string>(
  script: ScriptSource<K, A>,
): ScriptSource<K, A | 'clock_us'> {
  const clock = `ARGV[${script.args.length + 1}]`
  const source = script.source.replaceAll(
    "redis.call('TIME')",
    `{string.sub(${clock}, 1, -7), string.sub(${clock}, -6)}`,
  )
  if (source === script.source) throw new Error(`${script.name} does not look at the clock`)
  const sha1 = createHash('sha1').update(source).digest('hex')
  return { ...script, args: [...script.args, 'clock_us'], source, sha1 }
}
