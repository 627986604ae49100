import acquire from '../../../src/cache/acquire.lua.js'
import fill from '../../../src/cache/fill.lua.js'
import intend from '../../../src/cache/intend.lua.js'
import invalidate from '../../../src/cache/invalidate.lua.js'
import observe from '../../../src/cache/observe.lua.js'
import settle from '../../../src/cache/settle.lua.js'
import store from '../../../src/cache/store.lua.js'
import type { Cast } from './explore/play.js'
import { type Mutant, mistaken } from './explore/staged-port.js'

/** The scripts with one mistake each, and who is to notice. */
export const MUTANTS: Readonly<Record<string, readonly [mutant: Mutant, cast: Cast]>> = {
  'fill stores under any lease, or none': [
    mistaken(
      fill,
      ['if saved[1] ~= ARGV[1] then return 0 end', ''],
      ['if now >= tonumber(saved[2])', 'if saved[2] and now >= tonumber(saved[2])'],
    ),
    { processes: [['invalidate'], ['read']] },
  ],
  'invalidate leaves the lease': [
    { commands: { DEL: (key) => ['HDEL', key, 'v'] } },
    { processes: [['invalidate'], ['read']] },
  ],
  'invalidate that keeps the value leaves the lease': [
    mistaken(invalidate, ["redis.call('DEL', KEYS[1])", "redis.call('HDEL', KEYS[1], 'v')"]),
    { processes: [['invalidate'], ['read']], options: { keepInvalidatedMs: 5000 } },
  ],
  'invalidate that keeps the value leaves the lease of its refresh': [
    mistaken(invalidate, ["if fields[i] ~= 'o' then", "if fields[i] == 'v' then"]),
    { processes: [['invalidate'], ['read']], before: 'early', options: { keepInvalidatedMs: 5000 } },
  ],
  'acquire does not mind that a write is under way': [
    mistaken(acquire, ['if written and now < written then return {3, written - now} end', '']),
    { processes: [['write'], ['read']] },
  ],
  'a refresh does not mind that another one is under way': [
    mistaken(acquire, [
      'if deadline and now < deadline then',
      'if deadline and now < deadline and not usable then',
    ]),
    { processes: [['read'], ['read']], before: 'early' },
  ],
  'a refresh is stored without the lease': [
    mistaken(
      fill,
      ['if saved[1] ~= ARGV[1] then return 0 end', ''],
      ['if now >= tonumber(saved[2])', 'if saved[2] and now >= tonumber(saved[2])'],
    ),
    { processes: [['invalidate'], ['read']], before: 'early' },
  ],
  'intend leaves the lease': [
    mistaken(intend, ["'v', 'l', 'd', 'x', 'n', 'r'", "'v', 'x', 'n', 'r'"]),
    { processes: [['write'], ['read']] },
  ],
  'settle stores although another write has overlapped': [
    mistaken(settle, ['and not saved[2] then', 'then']),
    { processes: [['write'], ['write']] },
  ],
  'settle leaves the lease of whoever came after its intent had ended': [
    mistaken(
      settle,
      ["'v', 'l', 'd', 'x', 'n', 'r'", "'v', 'x', 'n', 'r'"],
      ["redis.call('DEL', KEYS[1])", "redis.call('HDEL', KEYS[1], 'v')"],
    ),
    { processes: [['write'], ['read']], faults: 1, allowed: ['clock'] },
  ],
  'store does not look at the version': [
    mistaken(store, ["if ARGV[3] == 'version' and", "if ARGV[3] == 'none' and"]),
    { processes: [['set by a token'], ['write']], before: 'fresh' },
  ],
  'a look that comes late leaves the mark again that was taken away': [
    { repeated: observe.name },
    { processes: [['set by a token'], ['invalidate']], faults: 1, allowed: ['late'] },
  ],
  'store does not look at the mark': [
    mistaken(store, ["if ARGV[3] == 'mark' and", "if ARGV[3] == 'none' and"]),
    { processes: [['set by a token'], ['invalidate']] },
  ],
}
