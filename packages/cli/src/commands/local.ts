import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { LocalCluster } from 'slotwise/local'
import { act, type Runner } from '../action.js'
import { passwordOf } from '../connection/connection.js'
import { type ConnectionFlags, whole, withLogin } from '../connection/options.js'
import { EXIT } from '../exit.js'
import { table } from '../output/table.js'
import type { Terminal } from '../terminal.js'
import { placed } from './operation.js'

interface LocalFlags extends Pick<ConnectionFlags, 'user' | 'passwordFile' | 'askPassword'> {
  readonly primaries: number
  readonly replicas: number
  readonly basePort?: number
  readonly dir?: string
  readonly tls: boolean
  readonly config?: Readonly<Record<string, string>>
  readonly nodeTimeout?: number
  readonly serverVersion?: string
}

export function addLocal(program: Command, runner: Runner): void {
  const command = program
    .command('local')
    .summary('run a cluster on this machine until Ctrl-C')
    .description(
      'Starts a real cluster on 127.0.0.1 and shows how to reach it. It ends with this command, however that ends. For development and tests, not for production.',
    )
    .addOption(new Option('--primaries <n>', 'how many').argParser(whole(3, 100)).default(3))
    .addOption(new Option('-r, --replicas <n>', 'of each primary').argParser(whole(0, 10)).default(1))
    .addOption(
      new Option('--base-port <port>', 'the first port (default: any free ones)').argParser(whole(1, 65_535)),
    )
    .option('--dir <folder>', 'where data lies and stays (default: a temporary folder)')
    .option('--tls', 'TLS, with a certificate made for it', false)
    .addOption(
      new Option('--config <name=value>', 'a setting of every server; repeatable').argParser(readSetting),
    )
    .addOption(
      new Option('--node-timeout <ms>', 'how long a node may be silent (default: 2000)').argParser(
        whole(100, 600_000),
      ),
    )
    .option('--server-version <x.y>', 'the oldest version of the server that will do')
  act<LocalFlags>(withLogin(command, 'Who may log in:'), runner, {
    example: 'slotwise local --primaries 3 --replicas 1 --base-port 7000 --dir .data/redis',
    work: async (terminal, _, flags) => {
      await serve(terminal, flags)
      // Ctrl-C is how it is meant to end.
      return EXIT.ok
    },
  })
}

async function serve(terminal: Terminal, flags: LocalFlags): Promise<void> {
  const { signal, env } = terminal
  const password = await passwordOf(flags, undefined, terminal)
  const username = flags.user ?? (env['SLOTWISE_USER'] || undefined)
  const { startLocalCluster } = await import('slotwise/local')
  const cluster = await startLocalCluster({
    primaries: flags.primaries,
    replicasPerPrimary: flags.replicas,
    username,
    password,
    tls: flags.tls,
    config: flags.config,
    version: flags.serverVersion,
    dir: flags.dir,
    basePort: flags.basePort,
    nodeTimeoutMs: flags.nodeTimeout,
    signal,
    onProgress: (text) => terminal.progress({ text }),
    onError: (error) => terminal.note(`${error.message}\n${error.log}`.trim()),
  })
  const { tls } = cluster.connectOptions
  const folder = tls === undefined ? undefined : await mkdtemp(join(tmpdir(), 'slotwise-ca-'))
  try {
    const ca = folder === undefined ? undefined : join(folder, 'ca.pem')
    if (ca !== undefined && tls !== undefined) await writeFile(ca, tls.ca, { mode: 0o600 })
    const how = {
      ...(ca === undefined ? {} : { ca }),
      ...(username === undefined ? {} : { username }),
      hasPassword: password !== undefined,
    }
    terminal.result(terminal.json ? document(cluster, how, flags) : screen(cluster, how, flags))
    if (!signal.aborted) await untilAborted(signal)
    terminal.note('Ending the servers.')
  } finally {
    await cluster.stop()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
}

/** A promise and a signal keep no process alive. */
function untilAborted(signal: AbortSignal): Promise<void> {
  const awake = setInterval(() => {}, 60_000)
  return new Promise((done) => {
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(awake)
        done()
      },
      { once: true },
    )
  })
}

interface How {
  readonly ca?: string
  readonly username?: string
  readonly hasPassword: boolean
}

function document(cluster: LocalCluster, { ca, username, hasPassword }: How, { dir }: LocalFlags): string {
  const nodes = cluster.nodes.map(({ id, host, port, role, pid }) => ({
    id,
    node: placed({ host, port }),
    role,
    pid,
  }))
  return JSON.stringify(
    {
      command: 'local',
      version: cluster.version,
      nodes,
      password: hasPassword,
      ...(username === undefined ? {} : { user: username }),
      ...(ca === undefined ? {} : { ca }),
      ...(dir === undefined ? {} : { dir: resolve(dir) }),
    },
    undefined,
    2,
  )
}

function screen(
  cluster: LocalCluster,
  { ca, username, hasPassword }: How,
  { dir, passwordFile }: LocalFlags,
): string {
  const nodes = cluster.nodes.map((node) => [placed(node), node.role, String(node.pid), node.id])
  const columns = [
    { title: 'NODE' },
    { title: 'ROLE' },
    { title: 'PID', align: 'right' } as const,
    { title: 'ID' },
  ]
  const [first] = cluster.connectOptions.nodes
  const access = [
    ...(username === undefined ? [] : [`--user ${username}`]),
    ...(hasPassword
      ? [passwordFile === undefined ? '--ask-password' : `--password-file ${passwordFile}`]
      : []),
    ...(ca === undefined ? [] : [`--ca ${ca}`]),
  ]
  return [
    `A cluster of version ${cluster.version} runs on this machine.`,
    '',
    table(columns, nodes),
    '',
    `Reach it   slotwise info ${[first, ...access].join(' ')}`,
    ...(hasPassword ? [] : [`           ${ca === undefined ? 'redis' : 'rediss'}://${first}`]),
    `Data       ${dir === undefined ? 'goes with it' : `stays in ${resolve(dir)}`}`,
    'End it     Ctrl-C',
  ].join('\n')
}

function readSetting(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const [, name, value] = /^([\w-]+)=(.*)$/s.exec(text) ?? []
  if (name === undefined)
    throw new InvalidArgumentError('It must be NAME=VALUE, such as maxmemory-policy=allkeys-lru.')
  return { ...before, [name]: value ?? '' }
}
