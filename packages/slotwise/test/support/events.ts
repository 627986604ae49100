import { onTestFinished } from 'vitest'
import { type Events, hear } from '../../src/telemetry.js'

/** The events of a channel from now on, until the test is over. */
export function heardOn<K extends keyof Events>(name: K): Events[K][] {
  const events: Events[K][] = []
  onTestFinished(hear(name, (event) => events.push(event)))
  return events
}
