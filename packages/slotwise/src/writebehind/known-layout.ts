import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { inTime, Readiness } from '../redis/readiness.js'
import { checkNumber, checkServers, checkSettled } from './checks.js'
import type { Looked } from './journal.js'
import { type Layout, Layouts, spaceOf, tokenOf } from './layout.js'
import type { Settings } from './options.js'

type KnownSettings = Pick<Settings<never>, 'name' | 'partitions' | 'evictionCheck' | 'safety' | 'report'>

/** Into how many partitions rows are spread and whether servers are as they must be, by what this process has seen last. */
export class KnownLayout {
  readonly #port: RedisPort
  readonly #settings: KnownSettings
  readonly #alsoLook: () => Promise<void>
  readonly #layouts: Layouts
  #readiness: Readiness | undefined
  #token = ''
  #isSettled = false

  /** @param alsoLook at what else has to be known before anything is accepted */
  constructor(port: RedisPort, settings: KnownSettings, alsoLook: () => Promise<void>) {
    this.#port = port
    this.#settings = settings
    this.#alsoLook = alsoLook
    this.#layouts = new Layouts(port, spaceOf(port, settings.name))
  }

  /** Of the number that this process was told, perhaps about to become another. */
  get token(): string {
    return this.#token
  }

  /** @throws ConfigurationError nothing can be accepted */
  ready(call: CallOptions = {}): Promise<void> {
    if (this.#isSettled && this.#readiness?.isOver === true) return this.readable(call)
    return inTime(
      this.readable().then(() => this.#settled()),
      call,
    )
  }

  /** @throws ConfigurationError what waits is not where this process looks for it, or servers do not keep it */
  readable(call: CallOptions = {}): Promise<void> {
    this.#readiness ??= new Readiness(async () => {
      await this.#alsoLook()
      await checkServers(this.#port, this.#settings)
      await this.#look()
    }, this.#settings.report)
    return this.#readiness.ready(call)
  }

  /** Before anything more is accepted or read. */
  lookAgain(): void {
    this.#readiness = undefined
    this.#isSettled = false
  }

  /**
   * Whether these journals are those of the rows. Where they belong to a layout that this process does not know, the settings say: as
   * long as they tell of no other number, nobody has accepted anything elsewhere before that.
   *
   * @throws ConfigurationError rows lie elsewhere by now
   */
  async confirm(looked: readonly Looked[], call: CallOptions): Promise<void> {
    const isKnown = ({ belongsTo }: Looked) => belongsTo === undefined || belongsTo === this.#token
    if (!looked.every(isKnown)) await inTime(this.#look(), call)
  }

  async #settled(): Promise<void> {
    // It may be over since.
    const layout = this.#isSettled ? undefined : await this.#look()
    if (layout !== undefined) checkSettled(layout, this.#settings.name)
  }

  async #look(): Promise<Layout> {
    const layout = await this.#layouts.open(this.#settings.partitions)
    // Before it is anybody's: who is on his way to a journal of this number must not bring the token of another there.
    checkNumber(layout, this.#settings)
    this.#token = tokenOf(layout)
    this.#isSettled = layout.moving === undefined
    return layout
  }
}
