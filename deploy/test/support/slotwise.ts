import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { createCluster, doctor, type Severity, type Usage } from 'slotwise/cluster'
import { connect } from 'slotwise/ioredis'

// The two commands that a deployment needs, with the options it gives them and the exit codes it goes by: 0 is well.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    nodes: { type: 'string' },
    replicas: { type: 'string', default: '1' },
    wait: { type: 'string', default: '0' },
    user: { type: 'string' },
    'password-file': { type: 'string' },
    ca: { type: 'string' },
    usage: { type: 'string' },
    'fail-on': { type: 'string', default: 'warning' },
  },
})
const [command, ...given] = positionals
const nodes = [...given, ...(values.nodes?.split(',') ?? [])]
const contentOf = async (file: string | undefined) =>
  file === undefined ? undefined : (await readFile(file, 'utf8')).trim()
const ca = await contentOf(values.ca)
const access = {
  nodes,
  username: values.user,
  password: await contentOf(values['password-file']),
  tls: ca === undefined ? undefined : { ca },
}

async function create(): Promise<number> {
  const made = await createCluster({
    ...access,
    replicasPerPrimary: Number(values.replicas),
    timeoutMs: Number(values.wait) * 1000,
  })
  console.log(made.changed ? 'The cluster is made.' : 'The cluster was whole already.', made.done)
  return 0
}

async function examine(): Promise<number> {
  await using port = await connect(access)
  const findings = await doctor(port, { usage: values.usage?.split(',') as Usage[] | undefined })
  for (const { severity, id, evidence } of findings) console.log(`${severity} ${id}: ${evidence}`)
  const order: readonly string[] = ['info', 'warning', 'critical'] satisfies Severity[]
  const least = order.indexOf(values['fail-on'])
  return findings.some(({ severity }) => order.indexOf(severity) >= least) ? 1 : 0
}

try {
  if (command !== 'create' && command !== 'doctor') throw new Error(`there is no command ${command}`)
  process.exitCode = await (command === 'create' ? create() : examine())
} catch (error) {
  console.error(error instanceof Error ? `${error.name}: ${error.message}` : error)
  process.exitCode = 2
}
