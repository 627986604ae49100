/** Figures as people read them. */

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `0 B`, `1.5 KiB`, `512 MiB`. */
export function size(bytes: number): string {
  let [value, unit] = [bytes, 0]
  // From 1023.95 on, one decimal would read 1024.0.
  while (value >= 1023.95 && unit < SIZES.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? Math.round(value) : trimmed(value)} ${SIZES[unit] ?? ''}`
}

/** `0.42 ms`, `12 ms`, `3.2 s`, `2 min 5 s`. */
export function duration(ms: number): string {
  if (ms < 9.995) return `${ms.toFixed(2)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${trimmed(ms / 1000)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** `1,234,567` */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `0-5460, 5462`, cut after a few. */
export function ranges(slots: readonly (readonly [number, number])[], most = 4): string {
  const shown = slots
    .slice(0, most)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  const rest = slots.length - shown.length
  return `${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}

/** `1 slot`, `2 slots`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

function trimmed(value: number): string {
  return value.toFixed(1).replace(/\.0$/, '')
}
