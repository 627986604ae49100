import type { Key } from '../keys.js'
import type { Argument, PortCallOptions, RedisPort, Repeat, Reply, ScriptCall } from './port.js'

/** What the generator makes of one `.lua` file: names from its header, the text, its SHA-1. */
export interface ScriptSource<K extends string = string, A extends string = string> {
  readonly name: string
  readonly keys: readonly K[]
  readonly args: readonly A[]
  readonly sha1: string
  readonly source: string
}

/** A script whose keys and arguments go by the names of its Lua header. */
export interface Script<K extends string, A extends string, R> {
  /** Runs it: one round trip, two where a node does not know the script yet. */
  run(
    port: RedisPort,
    keys: Readonly<Record<K, Key>>,
    args: Readonly<Record<A, Argument>>,
    options?: PortCallOptions,
  ): Promise<R>
  /** The same as a part of a pipeline; read its reply with {@link Script.decode}. */
  call(keys: Readonly<Record<K, Key>>, args: Readonly<Record<A, Argument>>): ScriptCall
  decode(reply: Reply): R
}

/** Turns a generated Lua module into a typed function. `repeat` says whether running it twice is harmless. */
export function defineScript<K extends string, A extends string, R>(
  source: ScriptSource<K, A>,
  { repeat, decode }: { readonly repeat: Repeat; readonly decode: (reply: Reply) => R },
): Script<K, A, R> {
  const call = (keys: Readonly<Record<K, Key>>, args: Readonly<Record<A, Argument>>): ScriptCall => {
    const inOrder = source.keys.map((name) => keys[name])
    if (!isSome(inOrder)) throw new TypeError(`${source.name}: a script needs at least one key`)
    return { script: source, keys: inOrder, args: source.args.map((name) => args[name]), repeat }
  }
  return {
    call,
    decode,
    run: async (port, keys, args, options) => decode(await port.call(call(keys, args), options)),
  }
}

const isSome = (keys: readonly Key[]): keys is [Key, ...Key[]] => keys.length > 0
