import { CrossSlotError } from '../errors.js'
import { slotOf } from '../slots.js'
import { connectionFor } from './connection-kind.js'
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
  /** May be answered by a replica. */
  readonly mayBeStale: boolean
  /** Needs a connection of its own. */
  readonly isDedicated: boolean
  /** `host:port` for a call to one node, which follows no redirection. */
  readonly node: string | undefined
  readonly answeredBy: ((node: string) => void) | undefined
}

/** @throws CrossSlotError if the keys of a script have several slots */
export function requestOf(call: CommandCall | ScriptCall, options?: PortCallOptions): Request {
  const binary = options?.binary ?? false
  const isDedicated = options?.dedicated ?? false
  if ('command' in call) {
    const { key, command, mayBeStale = false } = call
    return {
      slot: slotOf(key),
      command,
      script: undefined,
      // A read may be repeated, whatever it reads.
      repeat: mayBeStale ? 'safe' : (call.repeat ?? 'unsafe'),
      binary,
      mayBeStale,
      isDedicated: connectionFor(command) === 'dedicated' || isDedicated,
      node: undefined,
      answeredBy: call.answeredBy,
    }
  }
  const repeat = call.repeat ?? 'unsafe'
  const { script, keys, args } = call
  const slot = slotOf(keys[0])
  if (keys.some((key, i) => i > 0 && slotOf(key) !== slot)) {
    throw new CrossSlotError(keys.map((key) => ({ key, slot: slotOf(key) })))
  }
  const command: readonly [string, ...Argument[]] = ['EVALSHA', script.sha1, keys.length, ...keys, ...args]
  return {
    slot,
    command,
    script,
    repeat,
    binary,
    mayBeStale: false,
    isDedicated,
    node: undefined,
    answeredBy: call.answeredBy,
  }
}

/** A command for one node, whatever it owns. */
export function requestTo(
  node: string,
  command: CommandCall['command'],
  options: PortCallOptions = {},
  repeat: Repeat = 'unsafe',
): Request {
  const { binary = false, dedicated = false } = options
  const isDedicated = connectionFor(command) === 'dedicated' || dedicated
  return {
    slot: undefined,
    command,
    script: undefined,
    repeat,
    binary,
    mayBeStale: false,
    isDedicated,
    node,
    answeredBy: undefined,
  }
}

/** The same run with the script's text, which makes the node know it from then on. */
export function asText({ command, script }: Request): readonly [string, ...Argument[]] {
  if (script === undefined) return command
  const [, , ...rest] = command
  return ['EVAL', script.source, ...rest]
}
