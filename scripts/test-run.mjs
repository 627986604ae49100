import { runScript } from './launch.mjs'
import { bold } from './progress.mjs'
import { vitest } from './vitest.mjs'

const HELP = `${bold('npm test')} -- [vitest's options and filters]

Runs every test against a real cluster and a real Postgres, which it starts on free ports and ends again.
Installs what is missing.

  npm test                                  everything, in at most six minutes on two cores
  npm test -- --project unit                one layer: unit, scripts, cluster, memory, clients, cli, comments, faults, deploy, package, start
  npm test -- --project cluster cache       the files of one layer whose path holds a word
  npm test -- -t 'names a promise'          the tests whose name holds it

  npm run soak -- --help                    the same promises, with their full counts`

const args = process.argv.slice(2)
await runScript(async () => {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(HELP)
    return 0
  }
  return vitest(args)
})
