import { ConfigurationError } from '../errors.js'
import { type Key, type KeySpace, keyOf } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import resettleSource from './resettle.lua.js'

const resettle = defineScript(resettleSource, { repeat: 'safe', decode: (reply) => reply === 1 })

/** Into how many partitions the rows of a name are spread, as all its processes know it. */
export interface Layout {
  readonly partitions: number
  /** How often that was changed: a number that comes back is another layout. */
  readonly changes: number
  /** How many there are to be, while that is being changed. */
  readonly moving: number | undefined
  /** Up to so many there were before, and the database may still have to fence their flushers; 0 for none. */
  readonly former: number
}

/** Where everything of a name lies. */
export const spaceOf = ({ namespace }: RedisPort, name: string): KeySpace => ({
  namespace,
  pattern: 'writebehind',
  name,
})

/** What journals know it by. */
export const tokenOf = ({ partitions, changes }: Pick<Layout, 'partitions' | 'changes'>): string =>
  `${String(changes).padStart(10, '0')}:${partitions}`

/** The layout that comes once a change is done. */
export const nextOf = ({ changes }: Layout, partitions: number) => ({ partitions, changes: changes + 1 })

/** The settings of a name. */
export class Layouts {
  readonly #port: RedisPort
  readonly #name: string
  readonly #key: Key

  constructor(port: RedisPort, space: KeySpace) {
    this.#port = port
    this.#name = space.name
    this.#key = keyOf(space, ['settings'])
  }

  /** `undefined` if the name has none yet. */
  async read(options: CallOptions = {}): Promise<Layout | undefined> {
    const reply = await this.#call(['HMGET', this.#key, 'partitions', 'changes', 'moving', 'former'], options)
    const [partitions = 0, changes = 0, moving = 0, former = 0] = (Array.isArray(reply) ? reply : []).map(
      (one) => Number(one ?? 0),
    )
    if (partitions === 0) return undefined
    return { partitions, changes, moving: moving === 0 ? undefined : moving, former }
  }

  /** @throws ConfigurationError the name has none yet */
  async known(options: CallOptions = {}): Promise<Layout> {
    const layout = await this.read(options)
    if (layout !== undefined) return layout
    throw new ConfigurationError(`nothing is known of a write-behind called ${this.#name}`)
  }

  /** What it is; so many partitions where it is nothing yet. */
  async open(partitions: number, options: CallOptions = {}): Promise<Layout> {
    const known = await this.read(options)
    if (known !== undefined) return known
    await this.#call(['HSETNX', this.#key, 'partitions', String(partitions)], options)
    const made = await this.read(options)
    if (made !== undefined) return made
    throw new ConfigurationError('the settings of a write-behind do not stay where they are written')
  }

  /** Whether it was as expected, or is as wanted already. */
  async replace(expected: Layout, wanted: Layout, options: CallOptions = {}): Promise<boolean> {
    const [partitions, changes, moving, former] = fieldsOf(wanted)
    const args = { expected: fieldsOf(expected).join('/'), partitions, changes, moving, former }
    return await resettle.run(this.#port, { settings: this.#key }, args, options)
  }

  async #call(command: readonly [string, ...string[]], options: CallOptions): Promise<unknown> {
    return await this.#port.call({ key: this.#key, command, repeat: 'safe' }, options)
  }
}

const fieldsOf = ({
  partitions,
  changes,
  moving,
  former,
}: Layout): readonly [string, string, string, string] => [
  String(partitions),
  String(changes),
  moving === undefined ? '' : String(moving),
  former === 0 ? '' : String(former),
]
