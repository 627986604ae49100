import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Explained } from './packages.mjs'

/** The folder itself if it is a dump, else every dump among its folders. */
export function dumpsIn(dir: string): readonly string[] {
  const isDump = (path: string) => ['Posts.xml', 'Posts.xml.gz'].some((name) => existsSync(join(path, name)))
  if (isDump(dir)) return [dir]
  const dumps = readdirSync(dir)
    .map((name) => join(dir, name))
    .filter(isDump)
    .toSorted()
  if (dumps.length > 0) return dumps
  throw new Explained(
    `There is no dump in ${dir}: a dump is a folder with Posts.xml, Comments.xml, Users.xml and Votes.xml, or the same as .gz.`,
  )
}
