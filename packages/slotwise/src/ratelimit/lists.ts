import type { Algorithm, Part, Standing } from './algorithm.js'

/** A log of what was admitted; with `parts` counted by parts of the window, each to its end. */
export function log(limit: number, widthUs: number, parts = 0): Algorithm {
  return list({ code: 8, width: widthUs, unit: parts, identity: `log, ${widthUs}, ${parts}` }, limit)
}

/** What is under way, each with a deadline. */
export function leases(max: number, ttlUs: number): Algorithm {
  return list({ code: 9, width: ttlUs, unit: 0, identity: 'leases' }, max)
}

function list(settings: Pick<Algorithm, 'code' | 'width' | 'unit' | 'identity'>, limit: number): Algorithm {
  return {
    ...settings,
    partBytes: 8,
    hasList: true,
    standing: (part) => standingOf(limit, part),
  }
}

function standingOf(limit: number, { bytes, at, untaken, taken, nowUs, momentsAt }: Part): Standing {
  const used = bytes.readUInt32BE(at + 4) - untaken
  const [last, own, fits, more] = [0, 8, 16, 24].map((offset) => bytes.readDoubleBE(momentsAt + offset)) as [
    number,
    number,
    number,
    number,
  ]
  // The first to end, which may be this request's own.
  const next = more > 0 ? more : own
  return {
    remaining: limit - used,
    resetUs: used === 0 ? 0 : Math.max(last, taken > 0 ? own : 0) - nowUs,
    waitUs: (cost) => (used + cost <= limit ? 0 : (cost === untaken && fits > 0 ? fits : next) - nowUs),
  }
}
