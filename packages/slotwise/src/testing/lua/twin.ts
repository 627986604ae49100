import type { Table, Value } from './values.js'

/** What a script finds when it runs. */
export interface ScriptContext {
  readonly KEYS: Table
  readonly ARGV: Table
  /** Runs a command; its error ends the script. */
  readonly call: (...command: Value[]) => Value
  /** Runs a command; its error is a value. */
  readonly pcall: (...command: Value[]) => Value
}

/** A Lua script in TypeScript. */
export interface Twin {
  readonly name: string
  /** Of the text that it is the twin of. */
  readonly sha1: string
  run(redis: ScriptContext): Value
}
