import { createHash } from 'node:crypto'

/** `"<hash>"` of what is sent; with the version of its content in front, for {@link versionsIn}. */
export function etagOf(body: string, version?: number): string {
  const hash = createHash('sha256').update(body).digest('base64url').slice(0, 22)
  return version === undefined ? `"${hash}"` : `"${version}.${hash}"`
}

/** Whether `If-None-Match` names this ETag. The comparison is weak, as for reading it is meant to be. */
export function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}

/**
 * The version of the content that `If-Match` asks for; `undefined` for any, 0 for one that nothing has. The hash is
 * not compared: a like changes what is sent, and must not stand in the way of the author's edit.
 */
export function versionAsked(ifMatch: string | undefined): number | undefined {
  if (ifMatch === undefined || ifMatch.trim() === '*') return undefined
  const versions = ifMatch.split(',').map((tag) => /^\s*"(\d{1,9})\.[\w-]{22}"\s*$/.exec(tag)?.[1])
  return Math.max(0, ...versions.map((version) => Number(version ?? 0)))
}
