import { findDumps } from '../apps/comments/src/import/dump.js'
import { Explained } from './packages.mjs'

/** The folder itself if it is a dump, else every dump among its folders. */
export function dumpsIn(dir: string): readonly string[] {
  const dumps = findDumps(dir)
  if (dumps.length > 0) return dumps
  throw new Explained(
    `There is no dump in ${dir}: a dump is a folder with Posts.xml, Comments.xml, Users.xml and Votes.xml, or the same as .gz.`,
  )
}
