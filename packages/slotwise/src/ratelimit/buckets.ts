import type { Algorithm } from './algorithm.js'

/** GCRA: a bucket is the time until it is full again, and each token takes `intervalUs` of it. */
export function steadyBucket(limit: number, intervalUs: number, longestWaitMs = 0): Algorithm {
  const depth = limit * intervalUs
  return {
    code: 1,
    width: intervalUs,
    // How far ahead places in its line are given.
    unit: longestWaitMs,
    partBytes: 16,
    identity: 'bucket',
    hasList: false,
    standing({ bytes, at, untaken }) {
      const debt = bytes.readDoubleBE(at) - untaken * intervalUs
      return {
        remaining: Math.floor((depth - debt) / intervalUs),
        resetUs: debt,
        waitUs: (cost) => Math.max(0, debt + cost * intervalUs - depth),
      }
    },
  }
}

/** A bucket into which `tokens` fall at every multiple of `everyUs` by the server's clock. */
export function steppedBucket(limit: number, tokens: number, everyUs: number): Algorithm {
  return {
    code: 7,
    width: everyUs,
    unit: tokens,
    partBytes: 8,
    identity: 'steps',
    hasList: false,
    standing({ bytes, at, untaken, nowUs }) {
      const missing = bytes.readDoubleBE(at) - untaken
      const waitFor = (count: number) =>
        count <= 0 ? 0 : Math.ceil(count / tokens) * everyUs - (nowUs % everyUs)
      return {
        remaining: limit - missing,
        resetUs: waitFor(missing),
        waitUs: (cost) => waitFor(missing + cost - limit),
      }
    },
  }
}
