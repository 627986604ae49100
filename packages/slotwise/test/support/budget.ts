/**
 * How many rounds a property or a soak runs: a share under `npm test`, which has minutes for everything, and the
 * full count under `npm run soak`.
 */
export function rounds(share: number, full: number): number {
  return process.env['SLOTWISE_SOAK'] === undefined ? share : full
}
