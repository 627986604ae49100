import { startService } from './compose.js'
import { ConfigError, loadConfig } from './config.js'
import { PortTakenError } from './server.js'

/**
 * The process: 0 after an orderly end, 1 if the service could not start or could not end in time, 2 for a wrong
 * environment.
 */

/** Longer than the server's own patience. */
const END_MS = 15_000

try {
  const service = await startService(loadConfig(process.env))
  let stopping = false
  const stop = () => {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(1), END_MS).unref()
    service.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
} catch (error) {
  const told = error instanceof ConfigError || error instanceof PortTakenError
  console.error(told ? error.message : error)
  process.exit(error instanceof ConfigError ? 2 : 1)
}
