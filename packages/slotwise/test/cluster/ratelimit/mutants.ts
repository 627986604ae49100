import type { MODELS } from './models.js'

/**
 * A mistake in one of the scripts, and the tier whose histories show it, beside a concurrency where what is under way is renewed; of
 * a mixture where none is named.
 */
export interface Mutant {
  readonly script: 'decide' | 'refund' | 'block' | 'renew'
  readonly from: string
  readonly to: string
  readonly of?: keyof typeof MODELS
  readonly onPlanChange?: 'keep-proportion' | 'reset'
}

const decide = (from: string, to: string, more: Pick<Mutant, 'of' | 'onPlanChange'> = {}): Mutant => ({
  script: 'decide',
  from,
  to,
  ...more,
})
const refund = (from: string, to: string, of?: Mutant['of']): Mutant => ({
  script: 'refund',
  from,
  to,
  ...(of === undefined ? {} : { of }),
})

const block = (from: string, to: string): Mutant => ({ script: 'block', from, to })
const renew = (from: string, to: string, of: Mutant['of']): Mutant => ({
  script: 'renew',
  from,
  to,
  ...(of === undefined ? {} : { of }),
})

const BUCKET = 'a token bucket'
const STEPS = 'a bucket filled in steps'
const FIRST = 'a window from the first request'
const CLOCK = 'a window by the clock'
const CALENDAR = 'a window of the calendar'
const ESTIMATE = 'an estimate'
const STRICT = 'a strict window'
const LOG = 'a log'
const LEASES = 'a concurrency'

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'writes before all have been checked': decide(
    '    if kind == 1 then\n',
    "    redis.call('SET', KEYS[1], record .. string.rep('\\0', 16), 'PX', 1000)\n    if kind == 1 then\n",
  ),
  'charges for a refusal': decide("if (verdict == '1' or", "if (verdict ~= '4' or"),
  'charges for a refusal once the clock has stepped back': decide(
    'if again then charge = 0 end',
    'if again then charge = 2 end\n  again = false',
  ),
  'looks at the first tier only': decide(
    "elseif cost > 0 then verdict = '0' end",
    "elseif cost > 0 and place < 40 then verdict = '0' end",
  ),
  'is not told of a clock that has stepped back': decide('    if age < 0 then', '    if age < -1e18 then', {
    of: BUCKET,
  }),
  'writes nothing when it refuses after the clock has stepped back': decide(
    'mended, written, age = true, now, 0',
    'written, age = now, 0',
    { of: BUCKET },
  ),
  'leaves the ends of a list where they were when the clock steps back': decide(
    "struct.unpack('>d', saved, entry) + age",
    "struct.unpack('>d', saved, entry)",
    { of: LOG },
  ),
  'takes a record of other tiers for its own': decide('if was == layout then', 'if was then', {
    onPlanChange: 'reset',
  }),
  'forgets what it wrote': decide('#saved >= entries - 1', '#saved < 0'),
  'has a constant time to live': decide('math.max(1, math.ceil((full - now) / 1000))', '120000'),
  'ends a record a part of a millisecond early': decide(
    'math.ceil((full - now) / 1000)',
    'math.floor((full - now) / 1000)',
  ),
  'ends a record before the last mark': decide('if ending > full then full = ending end', ''),
  'keeps a record for one window only': decide('start + 2 * width or previous', 'start + width or previous', {
    of: ESTIMATE,
  }),
  'admits a microsecond early': decide('if debt > depth then\n', 'if debt > depth + 1 then\n', {
    of: BUCKET,
  }),
  'refuses an exact fit of tokens': decide('if debt > depth then\n', 'if debt >= depth then\n', {
    of: BUCKET,
  }),
  'lets tokens pile up beyond the capacity': decide('if debt < 0 then debt = 0 end', '', { of: BUCKET }),
  'keeps whole milliseconds only': decide(
    "struct.pack('>dd', debt, width)",
    "struct.pack('>dd', debt - debt % 1000, width)",
    { of: BUCKET },
  ),
  'rounds the tokens that a changed rate keeps down': decide(
    'math.ceil(math.ceil(debt / interval)',
    'math.ceil(math.floor(debt / interval)',
    { of: BUCKET },
  ),
  'keeps the time and not the tokens when the rate changes': decide(
    'if interval ~= width or before ~= limit then',
    'if before ~= limit then',
    { of: BUCKET },
  ),
  'keeps more than a full bucket of debt': decide('if debt > most then debt, mended = most, true end', '', {
    of: BUCKET,
  }),
  'does not write down a changed rate when it refuses': decide(
    '/ before) * width\n          mended = true',
    '/ before) * width',
    { of: BUCKET },
  ),
  'counts whole units of the older window': decide('(passed - passed % unit) / unit)', 'passed / unit)', {
    of: ESTIMATE,
  }),
  'refuses an exact fit of an estimate': decide(
    '> (limit - current - cost) * units',
    '>= (limit - current - cost) * units',
    { of: ESTIMATE },
  ),
  'forgets the older window': decide('previous, current = current, 0 end', 'previous, current = 0, 0 end', {
    of: ESTIMATE,
  }),
  'remembers a window too long': decide(
    'written >= start - width then',
    'written >= start - 2 * width then',
    { of: ESTIMATE },
  ),
  'counts more than the limit of an older window': decide(
    'if previous > limit then previous, mended = limit, true end',
    '',
    { of: ESTIMATE },
  ),
  'moves a fixed window on with each request': decide(
    "struct.pack('>dd', count, left)",
    "struct.pack('>dd', count, width)",
    { of: FIRST },
  ),
  'begins a window that nobody uses': decide('cost > 0 and width or 0', 'width'),
  'lets a window last a microsecond longer': decide('if left <= 0 then', 'if left < 0 then', { of: FIRST }),
  'keeps a count over the end of its window': decide('if written < start then count = 0 end', '', {
    of: CLOCK,
  }),
  'takes the next window of the calendar for this one': decide(
    'if now >= ending then start',
    'if now > ending then start',
    { of: CALENDAR },
  ),
  'takes a day that is over for today': decide('if now < start or now >= last then', 'if now < start then', {
    of: CALENDAR,
  }),
  'gives a step too few': decide('count = count - (start -', 'count = count + unit - (start -', {
    of: STEPS,
  }),
  'ends a bucket of steps one step early': decide(
    'math.ceil(count / unit) * width',
    'math.floor(count / unit) * width',
    { of: STEPS },
  ),
  'counts past the limit': decide('if count + cost > limit then', 'if count + cost > limit + 1 then'),
  'forgets what is logged a microsecond early': decide(
    '            if ending > now then break end',
    '            if ending > now + 1 then break end',
    { of: LOG },
  ),
  'keeps what is logged a microsecond longer': decide(
    '            if ending > now then break end',
    '            if ending >= now then break end',
    { of: LOG },
  ),
  'counts a part of a window from its beginning': decide(
    'now - now % part + part - 1 + width',
    'now - now % part + width',
    { of: STRICT },
  ),
  'loses what came in the same part of a window': decide(
    'struct.pack(form, over, size + cost)',
    'struct.pack(form, over, cost)',
    { of: STRICT },
  ),
  'puts entries out of their order': decide('if kind == 8 and last > over then over = last end', '', {
    of: STRICT,
  }),
  'counts leases that have ended': decide(
    '              count, total = count - 1, total - size\n',
    '              count = count - 1\n',
    { of: LEASES },
  ),
  'tells of the first place although it needs several': decide(
    'if used + cost <= limit and fits == 0',
    'if fits == 0',
    { of: LEASES },
  ),
  'keeps proportions of nothing': decide('math.ceil(count * limit / before)', 'count', {
    of: CLOCK,
    onPlanChange: 'keep-proportion',
  }),
  'rounds proportions down': decide(
    'math.ceil(count * limit / before)',
    'math.floor(count * limit / before)',
    { of: CLOCK, onPlanChange: 'keep-proportion' },
  ),
  'penalizes beyond the limit': decide(
    'if force then cost = limit - count',
    'if force then cost = cost + 0',
    { of: CLOCK },
  ),
  'gives back tokens that have come back by themselves': refund(
    'decided + owed - now',
    'cost * each',
    BUCKET,
  ),
  'gives back more than was taken': refund(
    'math.min(cost * each, decided + owed - now)',
    'decided + owed - now',
    BUCKET,
  ),
  'gives back beyond a full bucket': refund('math.min(back, debt - age)', 'back', BUCKET),
  'gives back of the wrong window': refund('if counts and decided >= start then', 'if counts then', ESTIMATE),
  'gives back of a window that counts no more': refund(
    'decided >= now - now % width - width',
    'true',
    ESTIMATE,
  ),
  'gives back of a window that is over': refund('if left > age and decided', 'if decided', FIRST),
  'leaves a window open of which all was given back': refund('if back == count then left = 0 end', '', FIRST),
  'gives back steps that have come back by themselves': refund(
    'math.min(cost, owed, missing)',
    'math.min(cost, missing)',
    STEPS,
  ),
  'gives back in a later window of the clock': refund(
    'if decided >= start and written >= start then',
    'if written >= start then',
    CLOCK,
  ),
  'gives back all of an entry': refund('back = math.min(cost, size)', 'back = size', LOG),
  'gives back twice': refund('if found then return 1 end', '', BUCKET),
  'marks nothing': refund("struct.pack('>d', now + ARGV[5]) .. mark", "''", BUCKET),
  'ends the record when it gives back': refund("math.max(1, redis.call('PTTL', KEYS[1]))", '1', BUCKET),
}

/** Those that show in what is repeated, and in who is blocked. */
export const MUTANTS_OF_MARKS: Readonly<Record<string, Mutant>> = {
  'lets in who is blocked': decide('block > now and not force', 'false'),
  'blocks a microsecond longer': decide('block > now and not force', 'block >= now and not force'),
  'does not penalize who is blocked': decide('block > now and not force', 'block > now'),
  'forgets a block when it writes': decide('  if block > now then\n', '  if block > now + 1e15 then\n'),
  'ends a record before its block': decide('if block > full then full = block end', ''),
  'forgets what may be repeated when it writes': decide('record .. lists .. marks', 'record .. lists'),
  'takes what is repeated for new': decide(
    'local found = keep and string.find(marks, id, 1, true)',
    'local found',
  ),
  'knows again what has ended': decide(
    '  if ending > now then break end\n  live',
    '  if true then break end\n  live',
  ),
  'forgets what may be repeated a microsecond early': decide(
    '  if ending > now then break end\n  live',
    '  if ending > now + 1 then break end\n  live',
  ),
  'charges for what is repeated': decide("if (verdict == '1' or", "if (verdict == '1' or verdict == '2' or"),
  'repeats nothing for who is blocked': decide('if found then\n', 'if found and not blocked then\n'),
  'repeats what it refused': decide("elseif keep and verdict == '1' then", 'elseif keep then'),
  'tells of what is repeated that it was now': decide('marks, found - 8) - keep)', 'marks, found - 8))'),
  'begins a block when the clock has caught up': block(
    'if now < written then',
    'if now < written - 1e18 then',
  ),
  'leaves the moment of the record when it blocks': block('if not isKnown then', 'if true then'),
  'forgets all but the block': block('record .. block .. rest', 'record .. block'),
  'ends a record with its block': block('math.max(1, ttl, ms)', 'math.max(1, ms)'),
  'blocks twice': block('if isBlocked then rest = string.sub(rest, 17) end', ''),
  'ends no block': block('if ms == 0 and not isBlocked', 'if ms == 0'),
}

export const MUTANTS_OF_RENEWALS: Readonly<Record<string, Mutant>> = {
  'renews what has ended': renew('if ends > now then', 'if ends > 0 then', LEASES),
  'renews what is another’s': renew('string.sub(text, 11) == lease', 'true', LEASES),
  'renews it to a microsecond too soon': renew('now + width)', 'now + width - 1)', LEASES),
  'renews it behind those that end later': renew('lists .. renewal', 'renewal .. lists', LEASES),
  'forgets what ends first': renew('lists = lists .. text', 'lists = text', LEASES),
  'ends the record at its end': renew(
    'math.max(ttl, math.ceil(width / 1000))',
    'math.ceil(width / 1000)',
    BUCKET,
  ),
  'ends the record before it': renew('math.max(ttl, math.ceil(width / 1000))', 'ttl', LEASES),
  'leaves the moment of the record': renew('if not isKnown then', 'if true then', LEASES),
  'leaves ends where they were when the clock has stepped back': renew('+ now - written)', ')', LEASES),
  'forgets what follows the lists': renew('lists .. string.sub(entries, list)', 'lists', BUCKET),
  'forgets a block': renew('lists = string.sub(entries, 1, 16)', "lists = ''", BUCKET),
  'gives a bucket nothing back for the time until then': renew('math.max(0, debt - age)', 'debt', BUCKET),
  'fills no steps for the time until then': renew(
    "struct.unpack('>d', part) - filled",
    "struct.unpack('>d', part)",
    STEPS,
  ),
  'begins the window of the first request anew': renew('count, left - age', 'count, left', FIRST),
  'takes a window along into the next': renew(
    "if written < start then part = struct.pack('>d', 0) end",
    '',
    CLOCK,
  ),
  'takes a day along into the next': renew('start = ending\n', 'start = start\n', CALENDAR),
  'forgets a day that it does not know': renew('start, isKnown = 0, age', 'isKnown = age', CALENDAR),
  'does not mind what day it is': renew('start, isKnown = 0, age == 0', 'start, isKnown = 0, true', CALENDAR),
  'forgets the window before': renew('and current or 0, 0)', 'and 0 or 0, 0)', ESTIMATE),
  'takes one along that is long over': renew(
    'written >= start - width and current or 0',
    'current',
    ESTIMATE,
  ),
}
