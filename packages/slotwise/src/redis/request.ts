import { CrossSlotError } from '../errors.js'
import { slotOf } from '../slots.js'
import type { Argument, CommandCall, PortCallOptions, Repeat, ScriptCall } from './port.js'
import type { ScriptSource } from './script.js'

/** How a call is asked of a server: a command as it is, or a script by its hash and, where that fails, its text. */
export interface Request {
  /** Decides the node; `undefined` where the node is given. */
  readonly slot: number | undefined
  readonly command: readonly [name: string, ...args: Argument[]]
  readonly script: ScriptSource | undefined
  readonly repeat: Repeat
  readonly binary: boolean
  /** `host:port` for a call to one node, which follows no redirection. */
  readonly node: string | undefined
}

/** @throws CrossSlotError if the keys of a script have several slots */
export function requestOf(call: CommandCall | ScriptCall, options?: PortCallOptions): Request {
  const binary = options?.binary ?? false
  const repeat = call.repeat ?? 'unsafe'
  if ('command' in call) {
    return {
      slot: slotOf(call.key),
      command: call.command,
      script: undefined,
      repeat,
      binary,
      node: undefined,
    }
  }
  const { script, keys, args } = call
  const slot = slotOf(keys[0])
  if (keys.some((key) => slotOf(key) !== slot)) {
    throw new CrossSlotError(keys.map((key) => ({ key, slot: slotOf(key) })))
  }
  const command: readonly [string, ...Argument[]] = ['EVALSHA', script.sha1, keys.length, ...keys, ...args]
  return { slot, command, script, repeat, binary, node: undefined }
}

/** The same run with the script's text, which makes the node know it from then on. */
export function asText({ command, script }: Request): readonly [string, ...Argument[]] {
  if (script === undefined) return command
  const [, , ...rest] = command
  return ['EVAL', script.source, ...rest]
}
