import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { launch, onStop, runScript } from './launch.mjs'
import { Explained, ensurePackages } from './packages.mjs'
import { bold, Progress } from './progress.mjs'

const HELP = `${bold('npm start')} -- [options]

Starts the comments service with everything it needs: six Redis nodes, Postgres, data to look at.
Installs and fetches what is missing, into this folder and your cache folder; nothing else is changed.

  --port N               the page's port (8080; the next free one if it is taken)
  --data DIR             import a Stack Exchange dump, or every dump found in the folders of DIR
  --no-sample            leave an empty database empty instead of filling in a sample
  --fresh                forget the data of earlier starts (never that in servers of yours)
  --redis HOST:PORT,…    use your own Redis Cluster; its password comes from REDIS_PASSWORD
  --help                 this

  DATABASE_URL           use your own Postgres
  SLOTWISE_REDIS_SERVER  the redis-server to run
  NO_COLOR               plain output

The data lies in .slotwise/ and is found again by the next start. Ctrl-C ends everything; a second one at once.`

await runScript(async () => {
  const options = readOptions()
  if (options === undefined) {
    console.log(HELP)
    return 0
  }
  if (process.platform === 'win32') {
    throw new Explained('Redis does not run on Windows itself: start this inside WSL (https://aka.ms/wsl).')
  }
  const progress = new Progress()
  const startedMs = Date.now()
  const installing = new AbortController()
  onStop(() => installing.abort())
  try {
    await ensurePackages('run', { progress, signal: installing.signal })
  } catch (error) {
    if (installing.signal.aborted) return 1
    throw error
  }
  if (installing.signal.aborted) return 1
  const { code, stoppedBy } = await launch(
    [
      '--conditions=slotwise-source',
      '--import',
      'tsx',
      'scripts/up.ts',
      JSON.stringify({ ...options, startedMs }),
    ],
    { graceMs: 4000, stopBy: 'message' },
  )
  return stoppedBy === undefined ? code : 0
})

/** @typedef {{ port: number, data: string | undefined, sample: boolean, fresh: boolean, redis: string[] | undefined }} Options */

/** @returns {Options | undefined} nothing when only help was asked for */
function readOptions() {
  const eaten = ['fresh', 'redis', 'data', 'sample', 'port'].find(
    (name) => process.env[`npm_config_${name}`] !== undefined && process.argv.length === 2,
  )
  if (eaten !== undefined) throw misuse(`Options come after two dashes: npm start -- --${eaten}`)
  let values
  try {
    ;({ values } = parseArgs({
      options: {
        port: { type: 'string', default: '8080' },
        data: { type: 'string' },
        'no-sample': { type: 'boolean', default: false },
        fresh: { type: 'boolean', default: false },
        redis: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }))
  } catch (error) {
    throw misuse(error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error))
  }
  if (values.help) return undefined
  const port = Number(values.port)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw misuse(`--port must be from 1 to 65535, got ${JSON.stringify(values.port)}`)
  }
  return {
    port,
    data: values.data === undefined ? undefined : folder(values.data),
    sample: !values['no-sample'],
    fresh: values.fresh,
    redis: values.redis === undefined ? undefined : nodes(values.redis),
  }
}

/** @param {string} text */
function nodes(text) {
  const list = text.split(',').map((node) => node.trim())
  for (const node of list) {
    const port = Number(/^(?:\[[0-9a-f:.]+\]|[^\s:[\]@/]+):(\d{1,5})$/i.exec(node)?.[1])
    if (!(port >= 1 && port <= 65_535)) {
      throw misuse(`--redis must be a list such as 10.0.0.1:6379,10.0.0.2:6379, got ${JSON.stringify(node)}`)
    }
  }
  return list
}

/** @param {string} path relative to where the user is, not to where npm has gone */
function folder(path) {
  const full = resolve(process.env['INIT_CWD'] ?? process.cwd(), path)
  if (existsSync(full) && statSync(full).isDirectory()) return full
  throw misuse(`--data must be a folder, and there is none at ${full}`)
}

/** @param {string} what */
function misuse(what) {
  return new Explained(`${what}; \`npm start -- --help\` lists the options.`)
}
