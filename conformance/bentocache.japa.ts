/** Runs bentocache.suite.ts with the runner that its suite is written for, and writes what became of each test. */
import { writeFileSync } from 'node:fs'
import { assert } from '@japa/assert'
import { configure, run } from '@japa/runner'

const passed: string[] = []
const failed: string[] = []

configure({
  // Not a pattern: a folder may have a blank or a bracket in its name.
  files: () => [new URL('bentocache.suite.ts', import.meta.url)],
  plugins: [assert()],
  forceExit: true,
  reporters: {
    activated: ['counted'],
    list: [
      {
        name: 'counted',
        handler: (_, emitter) => {
          emitter.on('test:end', ({ title, hasError, errors }) => {
            ;(hasError ? failed : passed).push(title.expanded)
            for (const { error } of errors) console.error(`${title.expanded}: ${String(error)}`)
          })
          // Before it forces its exit.
          emitter.on('runner:end', () => {
            writeFileSync(
              process.env['SLOTWISE_RESULTS'] ?? '/dev/stderr',
              JSON.stringify({ passed, failed }),
            )
          })
        },
      },
    ],
  },
})
await run()
