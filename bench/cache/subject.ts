/** What is cached in all measurements: nested, about 1 KB of JSON. */
export interface Value {
  readonly id: string
  readonly version: string
  readonly author: { readonly name: string; readonly badges: readonly string[] }
  readonly replies: readonly { readonly id: number; readonly text: string; readonly votes: number }[]
}

export type Load = () => Promise<Value>

/** One cache with connections of its own. Redis is its only level: what is measured is what lies there. */
export interface Subject {
  read(id: string, load: Load): Promise<Value>
  remove(id: string): Promise<unknown>
  /** Its own way of removing many, where it has one. */
  removeMany?(ids: readonly string[]): Promise<unknown>
  /** Its own way of removing everything, where it has one. */
  removeAll?(): Promise<unknown>
  close(): Promise<unknown>
}

/** What a subject is opened with. */
export interface Place {
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  /** Fresh for each measurement, so that none finds what another left. */
  readonly prefix: string
}

export type Open = (place: Place) => Promise<Subject>

export function valueOf(id: string, version = 'old'): Value {
  return {
    id,
    version,
    author: { name: `Author of ${id}`, badges: ['early', 'helpful', 'verified'] },
    replies: Array.from({ length: 9 }, (_, n) => ({
      id: n,
      text: `Reply ${n}: ${'some words about it, '.repeat(3)}`,
      votes: n * 7,
    })),
  }
}

/** How long what is stored lives: longer than any measurement. */
export const TTL_MS = 600_000
