import type { Algorithm, CalendarWindows, Standing } from './algorithm.js'

/** What is left of a window of which so much is used. */
const counted = (limit: number, used: number, leftUs: number): Standing => ({
  remaining: limit - used,
  resetUs: used > 0 ? leftUs : 0,
  waitUs: (cost) => (used + cost > limit ? leftUs : 0),
})

/** A window that begins with the first request after the last one ended. */
export function anchoredWindow(limit: number, widthUs: number): Algorithm {
  return {
    code: 4,
    width: widthUs,
    unit: 1,
    partBytes: 16,
    identity: `from the first, ${widthUs}`,
    hasList: false,
    standing: ({ bytes, at, untaken }) =>
      counted(limit, bytes.readDoubleBE(at) - untaken, bytes.readDoubleBE(at + 8)),
  }
}

/** Windows that begin at the multiples of their length by the server's clock. */
export function alignedWindow(limit: number, widthUs: number): Algorithm {
  return {
    code: 5,
    width: widthUs,
    unit: 1,
    partBytes: 8,
    identity: `by the clock, ${widthUs}`,
    hasList: false,
    standing: ({ bytes, at, untaken, nowUs }) =>
      counted(limit, bytes.readDoubleBE(at) - untaken, widthUs - (nowUs % widthUs)),
  }
}

/** Windows of the calendar, of which the script is told two. */
export function calendarWindow(
  limit: number,
  name: string,
  windowsAt: (nowUs: number) => CalendarWindows,
): Algorithm {
  return {
    code: 6,
    width: 0,
    unit: 1,
    partBytes: 8,
    identity: name,
    hasList: false,
    calendar: windowsAt,
    standing: ({ bytes, at, untaken, nowUs }) =>
      counted(limit, bytes.readDoubleBE(at) - untaken, windowsAt(nowUs).to - nowUs),
  }
}

/** Counts above this need more than four bytes, with what a request may add to one. */
const SMALL = 2 ** 31

/**
 * Two counters: of the window by the clock, and of the one before, which counts in proportion to how much of it the sliding
 * window still covers. Time is in units of so many microseconds, so that limit × window is below 2^53 and compares exactly.
 */
export function estimatedWindow(limit: number, widthUs: number, unitUs: number): Algorithm {
  const isSmall = limit < SMALL
  const units = widthUs / unitUs
  return {
    code: isSmall ? 2 : 3,
    width: widthUs,
    unit: unitUs,
    partBytes: isSmall ? 8 : 16,
    identity: `estimate, ${widthUs}${isSmall ? '' : ', large'}`,
    hasList: false,
    standing({ bytes, at, untaken, nowUs }) {
      const previous = isSmall ? bytes.readUInt32BE(at) : bytes.readDoubleBE(at)
      const current = (isSmall ? bytes.readUInt32BE(at + 4) : bytes.readDoubleBE(at + 8)) - untaken
      const passedUs = nowUs % widthUs
      const left = units - Math.floor(passedUs / unitUs)
      const waitUs = (cost: number) => {
        const room = limit - current - cost
        if (previous * left <= room * units) return 0
        // The moment within a window at which so much of the older count has gone by.
        const turn = (older: number, free: number) => (units - Math.floor((free * units) / older)) * unitUs
        return room >= 0 ? turn(previous, room) - passedUs : widthUs + turn(current, limit - cost) - passedUs
      }
      return {
        remaining: limit - current - Math.ceil((previous * left) / units),
        resetUs: current > 0 ? 2 * widthUs - passedUs : previous > 0 ? widthUs - passedUs : 0,
        waitUs,
      }
    },
  }
}
