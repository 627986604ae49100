import type { Cast } from './explore/play.js'

/** What can go wrong with what bears a tag. */
const all = ['lost', 'late', 'death', 'clock', 'eviction', 'lag', 'failover'] as const
const everything = ['lost', 'late', 'death', 'clock', 'message'] as const

/** Few enough that all their schedules are gone through in memory. */
export const SMALL: Readonly<Record<string, Cast>> = {
  'a write and a read': { processes: [['write'], ['read']] },
  'two writes': { processes: [['write'], ['write']] },
  'an invalidation and two reads of one process': { processes: [['invalidate'], ['read', 'read']] },
  'an invalidation that keeps the value, and a read': {
    processes: [['invalidate'], ['read']],
    options: { keepInvalidatedMs: 5000 },
  },
  'an invalidation and a refresh of a stale value': {
    processes: [['invalidate'], ['read']],
    before: 'stale',
  },
  'a write and a refresh of a stale value': { processes: [['write'], ['read']], before: 'stale' },
  'two early refreshes': { processes: [['read'], ['read']], before: 'early' },
  'an invalidation and an early refresh': { processes: [['invalidate'], ['read']], before: 'early' },
  'a write and an early refresh': { processes: [['write'], ['read']], before: 'early' },
  'an early refresh by two processes, one thing goes wrong': {
    processes: [['read'], ['read']],
    before: 'early',
    faults: 1,
    allowed: everything,
  },
  'a change and a read': { processes: [['mutate'], ['read']] },
  'a change and a read by a lagging replica': {
    processes: [['mutate, for replicas'], ['read by a replica']],
  },
  'a set by a token and an invalidation': { processes: [['set by a token'], ['invalidate']] },
  'a set by a token and a write over a value': {
    processes: [['set by a token'], ['write']],
    before: 'fresh',
  },
  'a set by a token and an invalidation, something comes late': {
    processes: [['set by a token'], ['invalidate']],
    faults: 1,
    allowed: ['lost', 'late'],
  },
  'a write that is broken off, and a read': { processes: [['write, broken off'], ['read']] },
  'an invalidation and a read, one thing goes wrong': {
    processes: [['invalidate'], ['read']],
    faults: 1,
    allowed: everything,
  },
  'a write and a read, one thing goes wrong': {
    processes: [['write'], ['read']],
    faults: 1,
    allowed: everything,
  },
  'an invalidation and an early refresh, a failover': {
    processes: [['invalidate'], ['read']],
    before: 'early',
    faults: 1,
    allowed: ['failover'],
  },
  'an invalidation and a read, a failover': {
    processes: [['invalidate'], ['read']],
    faults: 1,
    allowed: ['failover'],
  },
  'a change of a tag and a read of what bears it': {
    processes: [['change the tag'], ['read under the tag']],
    bears: true,
    before: 'fresh',
  },
  'a change of the tag above and a load': { processes: [['change the tag above'], ['read under the tag']] },
  'a change of the database under a tag and a load': {
    processes: [['mutate the tag'], ['read under the tag']],
  },
  'a write of what bears a tag, and a change of the tag': {
    processes: [['write under the tag'], ['change the tag']],
  },
  'a set of what bears a tag by a token, and a change of the tag above': {
    processes: [['set by a token under the tag'], ['change the tag above']],
    bears: true,
    before: 'fresh',
  },
  'a change of a tag and a look, one thing goes wrong': {
    processes: [['change the tag'], ['look']],
    bears: true,
    before: 'fresh',
    faults: 1,
    allowed: all,
  },
}

/** Too many schedules to go through: some by chance. */
export const LARGE: Readonly<Record<string, Cast>> = {
  'an invalidation that is lost twice, and a read': {
    processes: [['invalidate'], ['read']],
    before: 'fresh',
    faults: 2,
    allowed: ['lost', 'late'],
  },
  'a write that is lost twice, and a read': {
    processes: [['write'], ['read']],
    faults: 2,
    allowed: ['lost', 'late'],
  },
  'two writes, an invalidation and three reads': {
    processes: [['write'], ['write', 'read'], ['invalidate', 'read'], ['read']],
  },
  'everything at once': {
    processes: [
      ['write', 'read'],
      ['invalidate', 'read'],
      ['mutate', 'set by a token'],
      ['write, broken off', 'read'],
    ],
    before: 'fresh',
    faults: 2,
    allowed: everything,
  },
  'everything at once, over stale values that are kept': {
    processes: [['write', 'read'], ['invalidate', 'read'], ['mutate'], ['set by a token', 'read']],
    before: 'stale',
    options: { keepInvalidatedMs: 5000 },
    faults: 2,
    allowed: everything,
  },
  'everything at once, over values that are refreshed early': {
    processes: [
      ['write', 'read'],
      ['invalidate', 'read'],
      ['read', 'set by a token'],
      ['mutate', 'read'],
    ],
    before: 'early',
    faults: 2,
    allowed: everything,
  },
  'changes and loads by lagging replicas': {
    processes: [
      ['mutate, for replicas'],
      ['mutate, for replicas', 'read by a replica'],
      ['read by a replica'],
    ],
    faults: 1,
    allowed: ['lost', 'late'],
  },
  'sets that nobody checks': {
    processes: [['set', 'read'], ['write'], ['invalidate', 'read']],
    faults: 1,
    allowed: everything,
  },
  'writes, invalidations and reads, a failover': {
    processes: [
      ['write', 'read'],
      ['invalidate', 'read'],
      ['write', 'read'],
    ],
    before: 'fresh',
    faults: 2,
    allowed: ['failover', 'lost'],
  },
  'changes of a tag and loads, one thing goes wrong': {
    processes: [['change the tag above'], ['read under the tag', 'look'], ['read under the tag']],
    faults: 1,
    allowed: all,
  },
  'a change of a tag and a load, something comes late': {
    processes: [['change the tag'], ['read under the tag']],
    faults: 1,
    allowed: ['late'],
  },
  'changes of the database under a tag, two things go wrong': {
    processes: [['mutate the tag'], ['mutate the tag above'], ['read under the tag', 'look']],
    faults: 2,
    allowed: all,
  },
  'two changes of a tag, of which its server may lose one': {
    processes: [['change the tag'], ['change the tag'], ['read under the tag', 'look']],
    bears: true,
    before: 'fresh',
    faults: 1,
    allowed: ['lag'],
  },
  'everything at once, under tags': {
    processes: [
      ['change the tag', 'look'],
      ['mutate the tag above', 'read under the tag'],
      ['set by a token under the tag', 'read under the tag'],
      ['write under the tag', 'look'],
    ],
    bears: true,
    before: 'fresh',
    faults: 2,
    allowed: all,
  },
  'everything at once, under tags of stale values': {
    processes: [
      ['change the tag above', 'look'],
      ['mutate the tag', 'read under the tag'],
      ['read under the tag', 'write under the tag'],
    ],
    bears: true,
    before: 'stale',
    faults: 2,
    allowed: all,
  },
}
