/** One tier in whole seconds, counted by hand: how many requests there is room for, and that one was admitted. */
export interface Plain {
  left(second: number): number
  take(second: number): void
}

/** A token every so many seconds. */
export function plainBucket(capacity: number, everySeconds: number): Plain {
  let [saved, at] = [capacity * everySeconds, 0]
  return {
    left(second) {
      saved = Math.min(capacity * everySeconds, saved + (second - at))
      at = second
      return Math.floor(saved / everySeconds)
    },
    take: () => (saved -= everySeconds),
  }
}

/** So many tokens at every multiple of so many seconds. */
export function plainSteps(capacity: number, tokens: number, everySeconds: number): Plain {
  let [left, at] = [capacity, 0]
  return {
    left(second) {
      const steps = Math.floor(second / everySeconds) - Math.floor(at / everySeconds)
      left = Math.min(capacity, left + steps * tokens)
      at = second
      return left
    },
    take: () => left--,
  }
}

/** A window that begins with the first request after the one before. */
export function plainWindow(limit: number, seconds: number): Plain {
  let [began, used] = [Number.NEGATIVE_INFINITY, 0]
  return {
    left: (second) => (second < began + seconds ? limit - used : limit),
    take(second) {
      if (second >= began + seconds) [began, used] = [second, 0]
      used++
    },
  }
}

/** The same as many have it: every request that is admitted begins the window anew. */
export function plainMovingWindow(limit: number, seconds: number): Plain {
  let [latest, used] = [Number.NEGATIVE_INFINITY, 0]
  return {
    left: (second) => (second < latest + seconds ? limit - used : limit),
    take(second) {
      used = second < latest + seconds ? used + 1 : 1
      latest = second
    },
  }
}

/** A window that begins at every multiple of its length. */
export function plainClockWindow(limit: number, seconds: number): Plain {
  const used = new Map<number, number>()
  const now = (second: number) => Math.floor(second / seconds)
  return {
    left: (second) => limit - (used.get(now(second)) ?? 0),
    take: (second) => used.set(now(second), (used.get(now(second)) ?? 0) + 1),
  }
}

/** The same, of which the one before counts as much as is left of it. */
export function plainEstimate(limit: number, seconds: number): Plain {
  const used = new Map<number, number>()
  const now = (second: number) => Math.floor(second / seconds)
  return {
    left(second) {
      const before = used.get(now(second) - 1) ?? 0
      const stillCovered = seconds - (second % seconds)
      return limit - (used.get(now(second)) ?? 0) - Math.ceil((before * stillCovered) / seconds)
    },
    take: (second) => used.set(now(second), (used.get(now(second)) ?? 0) + 1),
  }
}

/** Each admission by itself, for so many seconds. */
export function plainLog(limit: number, seconds: number): Plain {
  const admitted: number[] = []
  return {
    left: (second) => limit - admitted.filter((at) => second - at < seconds).length,
    take: (second) => admitted.push(second),
  }
}
