import { setTimeout as sleep } from 'node:timers/promises'
import { LockBusyError, LockUnavailableError } from 'slotwise'
import type { Lock, Locks } from 'slotwise/lock'
import { notFound } from '../problems.js'
import type { LikeChange, LikeRepository } from '../repositories/likes.js'
import { timed } from '../trace.js'
import type { Caches } from './caches.js'

/** Longer than a like ever takes, so that nobody enters while somebody is inside. */
const TTL_MS = 5000
/** How long one try waits in line before it looks again whether there is anything left to do. */
const WAIT_MS = 250
/** How long a like may take in all. */
const PATIENCE_MS = 10_000
/** How long it goes on where Redis does not answer: longer than one stands still, shorter than a failover, in which callers pile up. */
const STANDSTILL_MS = 2500

/**
 * Likes, each counted once. Likes of one comment by one user take turns under a lock, which spares the database
 * the crowd; that a like is never counted twice is the promise of the primary key, and holds without the lock.
 */
export class LikeService {
  readonly #likes: LikeRepository
  readonly #locks: Locks
  readonly #caches: Caches

  constructor(likes: LikeRepository, locks: Locks, caches: Caches) {
    this.#likes = likes
    this.#locks = locks
    this.#caches = caches
  }

  async like(tenant: string, comment: string, user: string): Promise<LikeChange> {
    return this.#turn(tenant, comment, user, true)
  }

  async unlike(tenant: string, comment: string, user: string): Promise<LikeChange> {
    return this.#turn(tenant, comment, user, false)
  }

  async #turn(tenant: string, comment: string, user: string, wanted: boolean): Promise<LikeChange> {
    const startedAt = performance.now()
    for (;;) {
      const now = await this.#likes.find(tenant, comment, user)
      if (now === undefined) throw notFound()
      // What is already so needs no lock: of a crowd that wants the same, all but one leave here.
      if (now.liked === wanted) return { ...now, changed: false }
      let lock: Lock
      try {
        const from = { ttlMs: TTL_MS, waitMs: WAIT_MS }
        lock = await timed('lock', () => this.#locks.forTenant(tenant).acquire([comment, user], from))
      } catch (error) {
        if (performance.now() >= startedAt + patienceWith(error)) throw error
        await sleep(10 * Math.random())
        continue
      }
      return await this.#under(lock, tenant, { id: comment, entityId: now.entityId }, user, wanted)
    }
  }

  async #under(
    lock: Lock,
    tenant: string,
    comment: { readonly id: string; readonly entityId: string },
    user: string,
    wanted: boolean,
  ): Promise<LikeChange> {
    let change: LikeChange | undefined
    try {
      change = await this.#caches.change(tenant, comment, () =>
        wanted ? this.#likes.add(tenant, comment.id, user) : this.#likes.remove(tenant, comment.id, user),
      )
    } finally {
      // Not `using`, which would fail for a lock that was lost meanwhile: the like stands all the same.
      await lock.release()
    }
    if (change === undefined) throw notFound()
    return change
  }
}

function patienceWith(error: unknown): number {
  if (error instanceof LockBusyError) return PATIENCE_MS
  return error instanceof LockUnavailableError ? STANDSTILL_MS : 0
}
