import { oneOf } from '../../options.js'

/** A cache in front of a service that removes responses by keys which they bore in a header. */
export type Cdn = 'fastly' | 'cloudflare' | 'akamai' | 'varnish'

/** What one of them says of its keys. */
export interface Limits {
  readonly header: string
  readonly separator: ' ' | ','
  /** What may stand in a key as it is. Of what is allowed, without what has a meaning in ours. */
  readonly plain: RegExp
  /** Longest key, longest header and most keys in it: beyond, keys are ignored without a word. */
  readonly keyBytes: number
  readonly headerBytes: number
  readonly headerKeys: number
  /** What one request to purge may hold. */
  readonly purgeKeys: number
  readonly purgeBytes: number
}

const PRINTABLE = /[!$&'()*+./:;<=>?@[\]^_`{|}\w-]/

/** By their own documentation, as of 2026; Varnish by its defaults, less what the name of a header and a request take. */
const LIMITS: Readonly<Record<Cdn, Limits>> = {
  fastly: {
    header: 'Surrogate-Key',
    separator: ' ',
    plain: PRINTABLE,
    keyBytes: 1024,
    headerBytes: 16_384,
    headerKeys: Infinity,
    purgeKeys: 256,
    purgeBytes: 16_384,
  },
  cloudflare: {
    header: 'Cache-Tag',
    separator: ',',
    plain: PRINTABLE,
    keyBytes: 1024,
    headerBytes: 16_384,
    headerKeys: 1000,
    purgeKeys: 100,
    purgeBytes: Infinity,
  },
  akamai: {
    header: 'Edge-Cache-Tag',
    separator: ',',
    plain: /[\w.-]/,
    keyBytes: 128,
    headerBytes: 8192,
    headerKeys: 128,
    purgeKeys: Infinity,
    // Of 50,000, with quotes around each.
    purgeBytes: 40_000,
  },
  varnish: {
    header: 'xkey',
    separator: ' ',
    plain: PRINTABLE,
    keyBytes: 1024,
    headerBytes: 8000,
    headerKeys: Infinity,
    purgeKeys: Infinity,
    purgeBytes: 8000,
  },
}

export function limitsOf(cdn: Cdn): Limits {
  return LIMITS[oneOf('cdn', cdn, Object.keys(LIMITS) as Cdn[])]
}
