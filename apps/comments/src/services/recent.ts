import { keyOf, type RedisPort } from 'slotwise/redis'

/** What is in it is not looked at for longer than anything waits: outages of the database longer than this are not for it. */
const KEEP_MS = 7 * 24 * 3_600_000
/** Longer than a change takes from here until it is accepted, and than the clocks of processes are apart. */
const SETTLED_MS = 60_000

/** A reaction that was changed not long ago, and when. */
export interface Recent {
  readonly row: string
  readonly atMs: number
}

/**
 * Which reactions in a thread may wait to be written, since a journal is asked by row. A row is noted before it changes, so what is
 * noted is all that waits, and some that does not any more.
 */
export class RecentReactions {
  readonly #port: RedisPort

  constructor(port: RedisPort) {
    this.#port = port
  }

  /** To be awaited before the change. */
  async note(tenant: string, thread: string, row: string): Promise<void> {
    const key = this.#key(tenant, thread)
    const commands = [
      ['ZADD', key, String(Date.now()), row],
      ['PEXPIRE', key, String(KEEP_MS)],
    ] as const
    const results = await this.#port.pipeline(
      commands.map((command) => ({ key, command, repeat: 'safe' as const })),
    )
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /** The oldest first. */
  async of(tenant: string, thread: string, deadlineMs: number): Promise<readonly Recent[]> {
    const key = this.#key(tenant, thread)
    const command = ['ZRANGE', key, '0', '-1', 'WITHSCORES'] as const
    const reply = await this.#port.call({ key, command, repeat: 'safe' }, { deadlineMs })
    const words = Array.isArray(reply) ? reply.map(String) : []
    return words.flatMap((row, i) => (i % 2 === 0 ? [{ row, atMs: Number(words[i + 1]) }] : []))
  }

  /**
   * Forgets those at the old end that do not wait. One that was changed again meanwhile has been noted later, and stays.
   *
   * @param recent as they were read, before it was asked what waits
   */
  async settle(
    tenant: string,
    thread: string,
    recent: readonly Recent[],
    waits: (row: string) => boolean,
  ): Promise<void> {
    const before = Date.now() - SETTLED_MS
    const stays = recent.find(({ row, atMs }) => atMs > before || waits(row))
    const last = recent.filter(({ atMs }) => stays === undefined || atMs < stays.atMs).at(-1)
    if (last === undefined) return
    const key = this.#key(tenant, thread)
    const until = String(last.atMs)
    await this.#port.call({ key, command: ['ZREMRANGEBYSCORE', key, '-inf', until], repeat: 'safe' })
  }

  #key(tenant: string, thread: string) {
    return keyOf({ namespace: this.#port.namespace, pattern: 'recent', name: 'reactions', tenant }, thread)
  }
}
