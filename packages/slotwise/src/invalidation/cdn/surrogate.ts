import { createHash } from 'node:crypto'
import { plainName } from '../../keys.js'
import { concerning, distinct } from '../tags/paths.js'
import { type Cdn, type Limits, limitsOf } from './limits.js'

/** What a response was made of, or what has changed: tags of one name, and of one tenant if there are tenants. */
export interface Tagged {
  /** Of the tags: {@link TagVersionsOptions.name}. */
  readonly name: string
  readonly tenant?: string | undefined
  readonly tags: readonly string[]
}

/** A change, of tags or of everything of the name. */
export interface TagChange extends Tagged {
  readonly everything?: boolean | undefined
}

/** A header, or why there can be none: a response with only some of its keys could not be purged by the others. */
export type SurrogateHeader =
  | { readonly fits: true; readonly name: string; readonly value: string }
  | { readonly fits: false; readonly reason: 'too-many-keys' | 'too-long' }

/**
 * The header by which a CDN knows what a response bears: `Surrogate-Key` of Fastly, `Cache-Tag` of Cloudflare, `Edge-Cache-Tag` of Akamai,
 * `xkey` of Varnish. It holds the tags, those above them, and the name as a whole, so that a purge of what
 * {@link surrogateKeys} says of a change finds every response that it concerns. No two tags have one key, but where the
 * CDN does not tell capitals from small letters (Cloudflare): then a purge takes more than it must, never less.
 *
 * **A response whose keys do not fit must not be kept by the CDN**: it would ignore some without a word. Send `Cache-Control:
 * private`, or fewer tags.
 *
 * @throws ConfigurationError a tag is empty or too long, or they are more than 64 with those above them
 *
 * @example
 * ```ts
 * import { surrogateHeader } from 'slotwise/invalidation'
 *
 * const header = surrogateHeader({ name: 'pages', tags: ['org:7/users'] }, { cdn: 'fastly' })
 * console.log(header) // { fits: true, name: 'Surrogate-Key', value: 'pages pages~~org:7 pages~~org:7/users' }
 * ```
 */
export function surrogateHeader(
  { name, tenant, tags }: Tagged,
  { cdn }: { readonly cdn: Cdn },
): SurrogateHeader {
  const limits = limitsOf(cdn)
  const keys = [
    wholeKey(limits, name, undefined),
    ...(tenant === undefined ? [] : [wholeKey(limits, name, tenant)]),
    ...concerning(tags).map((tag) => tagKey(limits, name, tenant, tag)),
  ]
  const value = keys.join(limits.separator)
  if (keys.length > limits.headerKeys) return { fits: false, reason: 'too-many-keys' }
  if (value.length > limits.headerBytes) return { fits: false, reason: 'too-long' }
  return { fits: true, name: limits.header, value }
}

/** The keys to be purged after a change: of each tag the one that whatever bears it, or a tag below it, has in its header. */
export function surrogateKeys(
  { name, tenant, tags, everything = false }: TagChange,
  { cdn }: { readonly cdn: Cdn },
): readonly string[] {
  const limits = limitsOf(cdn)
  if (everything) return [wholeKey(limits, name, tenant)]
  return distinct(tags).map((tag) => tagKey(limits, name, tenant, tag))
}

/** Never escaped to by anything, and so what holds the parts of a key together. */
const JOINT = '~'

function wholeKey(limits: Limits, name: string, tenant: string | undefined): string {
  const whole = plainName('name', name)
  return bounded(limits, tenant === undefined ? whole : `${whole}${JOINT}${tenantOf(limits, tenant)}`)
}

function tagKey(limits: Limits, name: string, tenant: string | undefined, tag: string): string {
  const owner = tenant === undefined ? '' : tenantOf(limits, tenant)
  return bounded(limits, [plainName('name', name), owner, escaped(limits, tag)].join(JOINT))
}

/** '%' alone is nothing escaped, so a tenant without a name is not taken for none. */
const tenantOf = (limits: Limits, tenant: string): string => (tenant === '' ? '%' : escaped(limits, tenant))

/** '#' is always escaped in what a user gave, so a hash is nobody's short key. */
function bounded({ keyBytes }: Limits, key: string): string {
  return key.length <= keyBytes ? key : `#${createHash('sha256').update(key).digest('hex')}`
}

function escaped({ plain }: Limits, part: string): string {
  return Array.from(part, (char) =>
    plain.test(char)
      ? char
      : Array.from(Buffer.from(char), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  ).join('')
}
