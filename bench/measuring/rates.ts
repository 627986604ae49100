/** Calls a second with so many under way at any time; each call takes a number, and no two at a time the same. */
export async function rateOf(
  call: (i: number) => Promise<unknown>,
  inFlight: number,
  ms: number,
): Promise<{ readonly perSecond: number; readonly calls: number }> {
  const began = performance.now()
  const until = began + ms
  let [next, calls] = [0, 0]
  const worker = async () => {
    while (performance.now() < until) {
      await call(next++)
      calls++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  return { perSecond: (calls / (performance.now() - began)) * 1000, calls }
}

/**
 * Lets everybody measure in every round, each round beginning with another one, so that nobody always follows the same
 * neighbour.
 *
 * @returns what each measured, round by round, in the order of the measurements
 */
export async function inTurns<R>(
  rounds: number,
  measurements: readonly ((round: number) => Promise<R>)[],
): Promise<readonly (readonly R[])[]> {
  const results = measurements.map((): R[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const index of measurements.keys()) {
      const at = (index + round) % measurements.length
      const result = await measurements[at]?.(round)
      if (result !== undefined) results[at]?.push(result)
    }
  }
  return results
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Round by round, since what disturbs a machine comes and goes, and then the median. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((one, i) => one / (theirs[i] ?? Number.NaN)))
}
