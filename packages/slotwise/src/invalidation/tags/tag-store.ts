import type { Key } from '../../keys.js'
import type { CallOptions } from '../../options.js'
import type { CommandCall, RedisPort, Reply, ScriptCall } from '../../redis/port.js'
import type { CallOf } from '../pending.js'
import { sendAnew } from '../send-anew.js'
import { writeAll } from '../write-all.js'
import { intend, look, newVersion, settle, type Version, versionOf } from './scripts.js'

/** Options of what changes tags. */
export interface ChangeOptions extends CallOptions {
  /** So many replicas of each primary are to know of it before it resolves. @defaultValue `0` */
  readonly replicas?: number | undefined
}

/** What changes a tag: one field of a hash, whatever bears it. Changes under way are fields of their own and stay. */
export const changeOf: CallOf = (key) => ({ key, command: ['HDEL', key, 'v'], repeat: 'safe' })

type Results = readonly PromiseSettledResult<Reply>[]

/** The keys of tags, and what is asked of them: each in one command, so that all go in one round trip a node. */
export class TagStore {
  readonly port: RedisPort
  readonly keyOf: (path: string) => Key
  /** For how long a version is kept from when it was last looked at. */
  readonly #keepMs: number

  constructor(
    port: RedisPort,
    { keyOf, keepMs }: { readonly keyOf: (path: string) => Key; readonly keepMs: number },
  ) {
    this.port = port
    this.keyOf = keyOf
    this.#keepMs = keepMs
  }

  /** What gives each of these tags a version, and tells it. */
  lookCall(path: string): ScriptCall {
    return look.call({ tag: this.keyOf(path) }, { fresh: newVersion(), keep_ms: this.#keepMs })
  }

  /** What tells the version of a tag without giving it one: absent means changed. */
  versionCall(path: string): CommandCall {
    const key = this.keyOf(path)
    return { key, command: ['HGET', key, 'v'], repeat: 'safe' }
  }

  /**
   * The versions now, given where there was none. One round trip a node.
   *
   * @throws RedisUnavailableError, or any other error of the port: then nothing is known of any
   */
  async look(paths: readonly string[], options: CallOptions = {}): Promise<readonly Version[]> {
    return versionsOf(
      await sendAnew(
        this.port,
        paths.map((path) => () => this.lookCall(path)),
        { ...options, binary: true },
      ),
    )
  }

  /** The versions now; `undefined` for what has changed since anybody looked. One round trip a node. */
  async versions(paths: readonly string[], options: CallOptions = {}): Promise<readonly Version[]> {
    return versionsOf(
      await this.port.pipeline(
        paths.map((path) => this.versionCall(path)),
        { ...options, binary: true },
      ),
    )
  }

  /** Each tag changes, and has no version until it is settled, or for `intentMs`. Never rejects. */
  intend(
    paths: readonly string[],
    token: string,
    intentMs: number,
    options: ChangeOptions,
  ): Promise<Results> {
    const calls = paths.map((path) => intend.call({ tag: this.keyOf(path) }, { token, intent_ms: intentMs }))
    return writeAll(this.port, calls, options)
  }

  /** Each tag changes again, and has a version from then on, or `lingerMs` later. Never rejects. */
  settle(
    paths: readonly string[],
    token: string,
    lingerMs: number,
    options: ChangeOptions,
  ): Promise<Results> {
    const calls = paths.map((path) => settle.call({ tag: this.keyOf(path) }, { token, linger_ms: lingerMs }))
    return writeAll(this.port, calls, options)
  }
}

function versionsOf(results: Results): readonly Version[] {
  return results.map((result) => {
    if (result.status === 'fulfilled') return versionOf(result.value)
    throw result.reason
  })
}
