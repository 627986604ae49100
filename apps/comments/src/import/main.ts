import { readFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { connect } from 'slotwise/ioredis'
import { z } from 'zod'
import { migrate, openDatabase } from '../db/index.js'
import { Caches } from '../services/caches.js'
import { ensureKey, KeyTakenError, PLAN_NAMES } from '../tenants.js'
import { DumpError, findDumps, ImportRunningError, importDump } from './index.js'
import { Meter } from './meter.js'

/** The command: 0 when the dump is in, 1 when it could not be, 2 for wrong arguments, 130 when it was stopped. */

const HELP = `Usage: npm run import -w apps/comments -- DIR --tenant NAME [options]

Reads a dump of a Stack Exchange site (Users, Posts, Comments and Votes, each .xml or .xml.gz, in the folder DIR)
into the tenant NAME: questions become entities, answers comments, comments replies, up-votes likes. Nothing is seen
before all of it is there. Stopped however, the same command goes on where it was.

  --tenant NAME   who gets the data; made if there is no such tenant
  --plan PLAN     of a new tenant: ${PLAN_NAMES.join(', ')} (default BUSINESS)
  --key KEY       gives the tenant this API key; without it, a new tenant gets one that is printed once
  --help          this text

Environment:
  DATABASE_URL    Postgres; default: that of the running npm start
  REDIS_NODES     host:port,… of the service's Redis Cluster, so that it learns what changed; default as above
  REDIS_PASSWORD, NAMESPACE   as the service has them
`

class UsageError extends Error {}
class UntoldError extends Error {}

const State = z.object({
  databaseUrl: z.string(),
  redisNodes: z.array(z.string()),
  namespace: z.string(),
})

async function runningState() {
  const file = new URL('../../../../.slotwise/state.json', import.meta.url)
  const text = await readFile(file, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : State.parse(JSON.parse(text))
}

function argumentsOf(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        tenant: { type: 'string' },
        plan: { type: 'string' },
        key: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    return { ...values, positionals }
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

async function main(args: readonly string[]): Promise<number> {
  const { tenant, plan, key, help, positionals } = argumentsOf(args)
  if (help === true) {
    console.log(HELP)
    return 0
  }
  const [dir, ...more] = positionals
  if (dir === undefined || more.length > 0) throw new UsageError('name one folder with a dump')
  if (tenant === undefined) throw new UsageError('name the tenant: --tenant NAME')
  // As in the API, where it is part of addresses and keys.
  if (!/^[^\0\p{Cs}]{1,200}$/u.test(tenant))
    throw new UsageError('a tenant has 1 to 200 characters, and no NUL')
  const planName = PLAN_NAMES.find((name) => name === plan)
  if (plan !== undefined && planName === undefined) {
    throw new UsageError(`there is no plan ${plan}, but ${PLAN_NAMES.join(', ')}`)
  }
  if (key !== undefined && !/^\S{1,512}$/.test(key))
    throw new UsageError('a key has 1 to 512 characters, and no blanks')
  // npm runs us in the workspace's folder, but the user stands elsewhere.
  const folder = resolve(process.env['INIT_CWD'] ?? '.', dir)
  return importInto(dumpAt(folder), tenant, planName, key)
}

function dumpAt(folder: string): string {
  const found = findDumps(folder)
  const [first] = found
  if (first === undefined) throw new UsageError(`there is no dump in ${folder}, which would have Posts.xml`)
  if (first === folder) return folder
  throw new UsageError(
    `${folder} is a folder of dumps: name one of ${found.map((path) => basename(path)).join(', ')}`,
  )
}

async function importInto(
  dir: string,
  tenant: string,
  plan: (typeof PLAN_NAMES)[number] | undefined,
  key: string | undefined,
): Promise<number> {
  const state = await runningState()
  const url = process.env['DATABASE_URL'] ?? state?.databaseUrl
  if (url === undefined) throw new UsageError('nothing runs here (npm start); set DATABASE_URL to a Postgres')
  const nodes =
    process.env['REDIS_NODES']?.split(',') ?? (url === state?.databaseUrl ? state.redisNodes : undefined)
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => stopping.abort())
  }
  const db = openDatabase(url, { connections: 2 })
  const meter = new Meter(`Importing ${basename(dir)} into ${tenant}`)
  try {
    await migrate(db)
    const namespace = process.env['NAMESPACE'] ?? state?.namespace ?? 'comments'
    const { earlier, users, entities, comments, likes, homeless } = await importDump(db, dir, {
      tenant,
      plan,
      signal: stopping.signal,
      onProgress: (progress) => meter.show(progress),
      onChanged: async (commentIds, entityIds) => {
        if (nodes === undefined) return
        await using port = await connect({ nodes, namespace, password: process.env['REDIS_PASSWORD'] })
        await using caches = new Caches(port)
        if (!(await caches.changed(tenant, commentIds, entityIds))) {
          throw new UntoldError(
            'the data is in, but Redis could not be told what changed: run the command again',
          )
        }
      },
    })
    meter.end()
    const many = (count: number, what: string) => `${count.toLocaleString('en')} ${what}`
    console.log(
      earlier === 'finished'
        ? `This dump is in ${tenant} already.`
        : `Imported ${many(entities, 'entities')}, ${many(comments, 'comments')}, ${many(likes, 'likes')}, ${many(users, 'users')}.`,
    )
    if (homeless > 0)
      console.log(`Left out ${many(homeless, 'answers and comments')}: the dump lacks what they are on.`)
    const made = await ensureKey(db, tenant, key)
    if (made !== undefined) console.log(`The API key of ${tenant}, shown this once: ${made}`)
    return 0
  } catch (error) {
    meter.end()
    if (!stopping.signal.aborted) throw error
    console.error('Stopped. The same command goes on from here; until then nothing of it is seen.')
    return 130
  } finally {
    await db.close()
  }
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException
  const told = [UsageError, UntoldError, DumpError, ImportRunningError, KeyTakenError].some(
    (kind) => error instanceof kind,
  )
  // Failures of files and connections have a code, and say what they are.
  console.error(
    told ? message : code === undefined ? error : `${message || 'Postgres cannot be reached'} (${code})`,
  )
  if (error instanceof UsageError) console.error('More: npm run import -w apps/comments -- --help')
  process.exitCode = error instanceof UsageError ? 2 : 1
}
