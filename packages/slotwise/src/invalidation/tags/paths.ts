import { ConfigurationError } from '../../errors.js'
import { shown } from '../../options.js'

/** How many versions one entry may carry: each is read with it, and stored in it. */
const MOST = 64
/** Of one tag, in UTF-16 units. */
const LONGEST = 512

/**
 * Everything whose change concerns what bears these tags: the tags and, since a tag covers what lies below it, those
 * above. `org:7/users` is below `org:7`. Each once, in a stable order.
 *
 * @throws ConfigurationError a tag is empty or longer than 512, or they are more than 64 with those above them
 */
export function concerning(tags: readonly string[]): readonly string[] {
  const paths = new Set<string>()
  for (const tag of tags) {
    checkedTag(tag)
    for (let at = tag.indexOf('/'); at >= 0; at = tag.indexOf('/', at + 1)) {
      if (at > 0) paths.add(tag.slice(0, at))
    }
    paths.add(tag)
    if (paths.size > MOST) {
      throw new ConfigurationError(
        `an entry may bear ${MOST} tags, with those above them; from ${shown(tag)} on there are more`,
      )
    }
  }
  return [...paths].toSorted()
}

/** The tags as they are, each once: a change of one is a change of what lies below it without touching that. */
export function distinct(tags: readonly string[]): readonly string[] {
  return [...new Set(tags.map(checkedTag))]
}

function checkedTag(tag: unknown): string {
  if (typeof tag === 'string' && tag !== '' && tag.length <= LONGEST) return tag
  throw new ConfigurationError(`a tag must be a text of 1 to ${LONGEST} characters, got ${shown(tag)}`)
}
