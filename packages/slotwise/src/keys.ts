import { createHash } from 'node:crypto'
import { ConfigurationError } from './errors.js'
import { shown } from './options.js'

declare const brand: unique symbol

/** A key that only this file makes, so that a hand-made string does not compile. */
export type Key = string & { readonly [brand]: 'Key' }

/**
 * What a thing is called within its pattern. Parts are escaped apart, so `['a:b', 'c']` and `['a', 'b:c']`
 * never meet; `7`, `7n` and `'7'` are the same part.
 */
export type Id = string | readonly (string | number | bigint)[]

/** Whose keys they are. */
export interface KeySpace {
  /** First part of every key of one application; empty for none. */
  readonly namespace: string
  /** The pattern, e.g. `cache`. */
  readonly pattern: string
  /** The instance, e.g. `comments`. */
  readonly name: string
  /** The tenant, if the view is one tenant's. */
  readonly tenant?: string | undefined
}

/** An escaped part or id longer than this (in UTF-16 units) is replaced by a hash of itself. */
const LONGEST = 128

/**
 * `namespace:pattern:name:{@tenant:id}`. All of tenant and id is the hash tag: an id has one slot, and a
 * tenant's ids spread over all of them. Different ids never give the same key; ids longer than 128 characters
 * are represented by 256 bits of SHA-256.
 */
export function keyOf(space: KeySpace, id: Id): Key {
  return keyMaker(space)(id)
}

/** {@link keyOf} for many ids of one space, what they have in common made once. */
export function keyMaker(space: KeySpace): (id: Id) => Key {
  const tenant = space.tenant === undefined ? '' : `@${bounded(escapePart(space.tenant))}:`
  const before = `${prefixOf(space)}{${tenant}`
  return (id) => `${before}${bounded(escapeId(id))}}` as Key
}

/**
 * The key of another pattern's thing that belongs to the same tenant as this key, whose words nobody may know any more.
 */
export function keyBeside(key: Key, space: Omit<KeySpace, 'tenant'>, id: Id): Key {
  const tenant = /\{(@[^:]+:)/.exec(key)?.[1] ?? ''
  return `${prefixOf(space)}{${tenant}${bounded(escapeId(id))}}` as Key
}

/**
 * The key of a thing in the slot of another key, which is the only one whose words are its hash tag:
 * `namespace:pattern:name:{tag of the other}:id`. For what a script must find beside the other; all such things share one primary.
 */
export function keyWithin(slot: Key, id: Id): Key {
  return `${slot}:${bounded(escapeId(id))}` as Key
}

/**
 * A pattern for SCAN that every key of the space matches, and no other key of ours. Nothing in a key is special in a
 * pattern: what would be is escaped.
 */
export function keysOf(space: KeySpace): string {
  const tenant = space.tenant === undefined ? '' : `@${bounded(escapePart(space.tenant))}:`
  return `${prefixOf(space)}{${tenant}*`
}

/** What a key still tells of words that were given: the words, or, of long ones, only a hash. */
export type KeyWords<Words> =
  | { readonly hashed: false; readonly words: Words }
  /** The words were longer than 128 characters, escaped; nobody can read them from the hash. */
  | { readonly hashed: true; readonly sha256: string }

/** What a key tells of the thing it belongs to. */
export interface ReadKey extends Omit<KeySpace, 'tenant'> {
  readonly tenant?: KeyWords<string>
  /** The parts of the id as text: that `7` was a number, or an id of one part no array, is not in the key. */
  readonly id: KeyWords<readonly string[]>
  /** Of a thing that lies in the slot of another key: the parts of that one's id. */
  readonly within?: KeyWords<readonly string[]>
}

/**
 * The reverse of {@link keyOf}: whose key it is and of which thing; `undefined` for a key that `keyOf` does not make. That
 * the form is ours does not prove that we wrote it. A key whose name holds a colon, which no pattern of ours
 * allows, is not taken apart.
 *
 * @example
 * ```ts
 * import { readKey } from 'slotwise/redis'
 *
 * const read = readKey('shop:cache:comments:{@acme:c:42}')
 * if (read?.id.hashed === false) console.log(read.pattern, read.id.words) // cache [ 'c', '42' ]
 * ```
 */
export function readKey(key: string): ReadKey | undefined {
  const [, namespace = '', pattern = '', name = '', tag = '', inside] =
    /^(?:([\w.-]{1,64}):)?([\w.-]{1,64}):([\w.-]{1,64}):\{([^{}]+)\}(?::([^{}@]+))?$/.exec(key) ?? []
  const [, tenantText, idText = ''] = /^(?:@([^:]+):)?([^@]+)$/.exec(tag) ?? []
  // Only limits put several things into one slot.
  if (idText === '' || (inside !== undefined && pattern !== 'ratelimit')) return undefined
  const tenant = tenantText === undefined ? undefined : wordsOf(tenantText, unescapePart)
  const partsOf = (text: string) => wordsOf(text, (parts) => parts.split(':').map(unescapePart))
  const tagged = partsOf(idText)
  const within = inside === undefined ? undefined : tagged
  const id = inside === undefined ? tagged : partsOf(inside)
  const read = {
    namespace,
    pattern,
    name,
    ...(tenant === undefined ? {} : { tenant }),
    id,
    ...(within === undefined ? {} : { within }),
  }
  // Many texts unescape to the same words, and only one of them is their key.
  const again = (words: KeyWords<string | readonly string[]>) =>
    words.hashed ? `#${words.sha256}` : bounded(escapeId(words.words))
  const tagAgain = `${tenant === undefined ? '' : `@${again(tenant)}:`}${again(tagged)}`
  return tag === tagAgain && (inside === undefined || inside === again(id)) ? read : undefined
}

function wordsOf<Words>(text: string, unescape: (text: string) => Words): KeyWords<Words> {
  const sha256 = /^#([\w-]{43})$/.exec(text)?.[1]
  return sha256 === undefined ? { hashed: false, words: unescape(text) } : { hashed: true, sha256 }
}

/** What every key of the space begins with, whosever it is, and no key of another space. */
export function prefixOf({ namespace, pattern, name }: Omit<KeySpace, 'tenant'>): string {
  return namespace === '' ? `${pattern}:${name}:` : `${namespace}:${pattern}:${name}:`
}

/** A name fit to stand in a key as it is: 1 to 64 of letters, digits, `.`, `_` and `-`. */
export function plainName(what: string, name: unknown): string {
  if (typeof name === 'string' && /^[\w.-]{1,64}$/.test(name)) return name
  throw new ConfigurationError(
    `${what} must be 1 to 64 letters, digits, dots, dashes or underscores, got ${shown(name)}`,
  )
}

function escapeId(id: Id): string {
  if (typeof id === 'string') return escapePart(id)
  if (!Array.isArray(id) || id.length === 0) {
    throw new ConfigurationError(`an id must be a string or a non-empty array, got ${shown(id)}`)
  }
  return id.map(escapePart).join(':')
}

/** Nothing in it is escaped. */
const PLAIN = /^[\w.-]+$/

// Everything that has a meaning in a key, in a MATCH pattern or on a terminal, and halves of surrogate pairs,
// which UTF-8 would turn into one and the same replacement character.
const SPECIAL =
  // biome-ignore format: one class a line
  // oxlint-disable-next-line no-control-regex
  /[\s\u0000-\u001f\u007f-\u009f%{}:#@*?[\]\\"']|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

function escapePart(part: string | number | bigint): string {
  if (typeof part === 'bigint') return String(part)
  if (typeof part === 'number') {
    if (Number.isSafeInteger(part)) return String(part)
    throw new ConfigurationError(`a number in an id must be a safe integer, got ${part}`)
  }
  if (typeof part !== 'string')
    throw new ConfigurationError(`a part of an id must be text or a number, got ${shown(part)}`)
  // Nearly all are, and keys are made for every call.
  if (PLAIN.test(part)) return part
  // '%' alone is never the outcome of escaping, so an empty part cannot meet another one.
  if (part === '') return '%'
  return part.replace(SPECIAL, (unit) => {
    const code = unit.charCodeAt(0)
    return code < 0x100 ? `%${code.toString(16).padStart(2, '0')}` : `%u${code.toString(16).padStart(4, '0')}`
  })
}

function unescapePart(text: string): string {
  if (text === '%') return ''
  return text.replace(/%(?:u[\da-f]{4}|[\da-f]{2})/g, (escape) =>
    String.fromCharCode(Number.parseInt(escape.replace(/^%u?/, ''), 16)),
  )
}

/** '#' is always escaped in what a user gave, so a hash never equals somebody's short id. */
function bounded(escaped: string): string {
  return escaped.length <= LONGEST ? escaped : `#${createHash('sha256').update(escaped).digest('base64url')}`
}
