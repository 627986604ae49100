import { vi } from 'vitest'
import { Codec, type Stamp } from '../../../src/cache/entry.js'
import { tokenOf } from '../../../src/cache/put.js'
import { TagCheck, Tags } from '../../../src/cache/tags.js'
import intend from '../../../src/invalidation/tags/intend.lua.js'
import look from '../../../src/invalidation/tags/look.lua.js'
import settle from '../../../src/invalidation/tags/settle.lua.js'
import type { Cast } from './explore/play.js'
import { type Mutant, mistaken } from './explore/staged-port.js'
import { turns } from './explore/turns.js'

/** What tags are looked at and changed by, with one mistake each, and who is to notice. */
export const TAG_MUTANTS: Readonly<Record<string, readonly [mutant: Mutant, cast: Cast]>> = {
  'a change of a tag counts it up, and its server may forget that': [
    {
      scripts: mistaken(look, ['ARGV[1]', "'10000000'"]).scripts ?? {},
      commands: { HDEL: (key) => ['HINCRBY', key, 'v', '1'] },
    },
    {
      processes: [['change the tag'], ['change the tag'], ['read under the tag']],
      bears: true,
      before: 'fresh',
      faults: 1,
      allowed: ['lag'],
    },
  ],
  'a look that comes late gives a tag the version again that was changed': [
    { repeated: look.name },
    { processes: [['change the tag'], ['read under the tag']], faults: 1, allowed: ['late'] },
  ],
  'a tag is given a version while it is being changed': [
    mistaken(look, ['if now < tonumber(saved[2]) then return false end', '']),
    { processes: [['mutate the tag'], ['read under the tag']] },
  ],
  'the first change under way that ends, ends the others': [
    mistaken(settle, ['if latest == 0 then', 'if latest >= 0 then']),
    { processes: [['mutate the tag'], ['mutate the tag'], ['read under the tag']] },
  ],
  'a change of a tag begins without changing it': [
    mistaken(intend, ["redis.call('HDEL', KEYS[1], 'v')", '']),
    { processes: [['mutate the tag'], ['look']], bears: true, before: 'fresh' },
  ],
  'a change of a tag does not change it at its end': [
    mistaken(
      settle,
      ["redis.call('HDEL', KEYS[1], 'v')", ''],
      ["redis.call('DEL', KEYS[1])", "redis.call('HDEL', KEYS[1], 'm')"],
    ),
    { processes: [['mutate the tag'], ['read under the tag']], faults: 1, allowed: ['clock'] },
  ],
  'what a tag is is read after the load': [
    { install: readsTagsLate },
    { processes: [['change the tag'], ['read under the tag']] },
  ],
  'a tag that is not there counts as it was': [
    {
      install: () =>
        checking({
          also: (check, stamp) => {
            const [known] = check.tagsOf([stamp])
            return known !== undefined && [undefined, stamp.version].includes(known.version)
          },
        }),
    },
    { processes: [['change the tag'], ['look']], bears: true, before: 'fresh' },
  ],
  'the tags above are not looked at': [
    {
      install: () =>
        checking({
          only: (stamps) =>
            stamps.filter(({ path }) => !stamps.some((one) => one.path.startsWith(`${path}/`))),
        }),
    },
    { processes: [['change the tag above'], ['look']], bears: true, before: 'fresh' },
  ],
  'a token does not say what the entry was read under': [
    {
      install: () => {
        const { version } = tokenOf
        vi.spyOn(tokenOf, 'version').mockImplementation((seen) => version(seen))
      },
    },
    {
      processes: [['set by a token under the tag'], ['change the tag']],
      bears: true,
      before: 'fresh',
    },
  ],
}

/** As it is now, to be called with a `this` of its kind. */
function methodOf<T, K extends keyof T>(prototype: T, name: K): T[K] {
  return prototype[name]
}

/** Before it is stored, and not before it is loaded. */
function readsTagsLate(): void {
  const stamps = methodOf(Tags.prototype, 'stamps')
  const reread = methodOf(Codec.prototype, 'reread')
  const left = new Map<string | undefined, () => Promise<void>>()
  vi.spyOn(Tags.prototype, 'stamps').mockImplementation(async function (this: Tags, ...asked) {
    const known: Stamp[] = []
    left.set(turns.getStore()?.who, async () => {
      known.push(...((await stamps.apply(this, asked)) ?? []))
    })
    return known
  })
  vi.spyOn(Codec.prototype, 'reread').mockImplementation(async function (this: Codec, payload) {
    const who = turns.getStore()?.who
    await left.get(who)?.()
    left.delete(who)
    return await reread.call(this, payload)
  })
}

interface Checking {
  /** Which tags of an entry are looked at. @defaultValue all */
  readonly only?: (stamps: readonly Stamp[]) => readonly Stamp[]
  /** What counts as unchanged besides what is. */
  readonly also?: (check: TagCheck, stamp: Stamp) => boolean
}

function checking({ only = (stamps) => stamps, also = () => false }: Checking): void {
  const hold = methodOf(TagCheck.prototype, 'hold')
  vi.spyOn(TagCheck.prototype, 'hold').mockImplementation(async function (this: TagCheck, entries, budget) {
    const holds = await hold.call(this, entries.map(only), budget)
    return entries.map((stamps, i) => holds[i] === true || stamps.every((stamp) => also(this, stamp)))
  })
}
