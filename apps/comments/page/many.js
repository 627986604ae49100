import { shortMs } from './dom.js'

/** @typedef {import('./api.js').Answer} Answer */

const TIMES = 50
const AT_ONCE = 4

/**
 * Reads the same again and again, until the limiter refuses; what came of it, as a sentence.
 *
 * @param {import('./api.js').Api} api
 * @param {import('./meter.js').Meter} meter
 * @param {string} path
 */
export async function readMany(api, meter, path) {
  /** @type {Answer[]} */
  const answers = []
  let left = TIMES
  const reader = async () => {
    while (left-- > 0 && !meter.waiting) answers.push(await api.call('GET', path))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, reader))
  const good = answers.filter(({ status }) => status === 200)
  const times = good.map(({ ms }) => ms).toSorted((a, b) => a - b)
  const hits = good.filter(({ source }) => source === 'hit').length
  const refusals = answers.filter(({ status }) => status === 429).length
  const median = times[Math.floor(times.length / 2)]
  return [
    `${good.length} ${good.length === 1 ? 'answer' : 'answers'}, ${hits} from the cache`,
    ...(median === undefined ? [] : [`median ${shortMs(median)}`]),
    ...(refusals === 0 ? [] : [`${refusals} refused`]),
  ].join(', ')
}
