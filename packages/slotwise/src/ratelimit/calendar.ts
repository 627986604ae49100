import { ConfigurationError } from '../errors.js'
import { shown } from '../options.js'
import { type CalendarWindows, EPOCH_US } from './algorithm.js'

/** What windows of the calendar may be. */
export type Period = 'day' | 'month'

/**
 * Where the day or the month around a moment begins and ends in a time zone, and where the next ends: by the rules of the zone as
 * this process knows them, so a day may have 23 hours or 25.
 */
export function calendarOf(period: Period, timeZone: string): (nowUs: number) => CalendarWindows {
  const format = formatOf(timeZone)
  let known: CalendarWindows | undefined
  return (nowUs) => {
    if (known === undefined || nowUs < known.from || nowUs >= known.to) {
      const [year, month, day] = dateAt(format, (nowUs + EPOCH_US) / 1000)
      const begin = (further: number) =>
        startOf(format, period === 'day' ? [year, month, day + further] : [year, month + further, 1])
      known = { from: begin(0), to: begin(1), next: begin(2) }
    }
    return known
  }
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch (cause) {
    throw new ConfigurationError(`timeZone must be one that is known here, got ${shown(timeZone)}`, { cause })
  }
}

type Moment = readonly [
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
]

function dateAt(format: Intl.DateTimeFormat, atMs: number): Moment {
  const parts = format.formatToParts(atMs)
  const of = (type: string) => Number(parts.find((part) => part.type === type)?.value)
  return [of('year'), of('month'), of('day'), of('hour'), of('minute'), of('second')]
}

/** The first moment of a date, by the script's clock: midnight, or where a zone skips it, what comes instead. */
function startOf(
  format: Intl.DateTimeFormat,
  [year, month, day]: readonly [year: number, month: number, day: number],
): number {
  const wanted = Date.UTC(year, month - 1, day)
  const local = (atMs: number) => {
    const [y, m, d, hour, minute, second] = dateAt(format, atMs)
    return Date.UTC(y, m - 1, d, hour, minute, second)
  }
  // No zone is further than 15 hours from UTC; between, local dates only grow.
  const reach = 15 * 3600
  let [before, after] = [wanted / 1000 - reach, wanted / 1000 + reach]
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (dateOf(local(middle * 1000)) >= dateOf(wanted)) after = middle
    else before = middle
  }
  return after * 1_000_000 - EPOCH_US
}

const dateOf = (localMs: number): number => Math.floor(localMs / 86_400_000)
