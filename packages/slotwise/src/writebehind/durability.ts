import { ConfigurationError } from '../errors.js'
import { integer, shown } from '../options.js'

/** How safe a change is to be once it is accepted. It is accepted in any case; the result says what was reached in time. */
export type Durability =
  /**
   * In the memory of the primary. A failover loses what no replica has yet, and a primary that ends what it has not written to
   * its disk.
   */
  | 'memory'
  /**
   * On the disk of the primary, which comes back with it after a crash or a power failure. A failover loses what no replica has
   * yet: whoever takes the place of a primary has another disk.
   */
  | 'fsync'
  /**
   * So many replicas have it, in their memory; with `fsync` the disk of the primary too. A failover loses it only if it goes to
   * a replica that is not among them.
   */
  | { readonly replicas: number; readonly fsync?: boolean | undefined }

/** The same, in numbers. */
export interface Safety {
  readonly replicas: number
  readonly fsync: boolean
}

export function safetyOf(durability: unknown = 'memory'): Safety {
  if (durability === 'memory') return { replicas: 0, fsync: false }
  if (durability === 'fsync') return { replicas: 0, fsync: true }
  if (typeof durability !== 'object' || durability === null) {
    throw new ConfigurationError(
      `durability must be 'memory', 'fsync' or { replicas }, got ${shown(durability)}`,
    )
  }
  const { replicas, fsync = false } = durability as { replicas?: unknown; fsync?: unknown }
  if (typeof fsync !== 'boolean') {
    throw new ConfigurationError(`durability.fsync must be true or false, got ${shown(fsync)}`)
  }
  return { replicas: integer('durability.replicas', replicas, { max: 10 }), fsync }
}

/** What was reached, never more than was asked for. */
export function reached(
  { acknowledgedBy, fsynced }: { readonly acknowledgedBy: number; readonly fsynced: boolean },
  asked: Safety,
): Durability {
  const replicas = Math.min(acknowledgedBy, asked.replicas)
  if (replicas === 0) return fsynced ? 'fsync' : 'memory'
  return fsynced ? { replicas, fsync: true } : { replicas }
}

/** Whether anything is to be waited for. */
export const isAsked = ({ replicas, fsync }: Safety): boolean => replicas > 0 || fsync

/** The same, as the port takes it: it takes no zero. */
export const waitOf = ({ replicas, fsync }: Safety): { replicas?: number; fsync: boolean } =>
  replicas > 0 ? { replicas, fsync } : { fsync }
