import { readFile } from 'node:fs/promises'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { ConnectOptions, RedisPort } from 'slotwise/redis'
import { Refusal } from '../exit.js'
import type { Profile } from '../profiles/store.js'
import type { Terminal } from '../terminal.js'
import { endpointMap } from './endpoint-map.js'
import { readNodes } from './nodes.js'
import type { ConnectionFlags } from './options.js'

/** How a cluster is reached: fit for `connect` and for the operations on clusters. */
export type Connection = Pick<ConnectOptions, 'nodes' | 'username' | 'password' | 'endpointMap'> & {
  readonly tls?: TlsOptions
  /** As given by `--timeout`. */
  readonly timeoutMs?: number
}

/**
 * From what was given: arguments and options, then the profile, then the environment. Nodes on the command line take the
 * place of those of a profile; all else of it stays.
 *
 * @throws Refusal
 */
export async function connectionOf(
  flags: ConnectionFlags,
  positional: readonly string[],
  terminal: Terminal,
): Promise<Connection> {
  const connection = await perhapsConnection(flags, positional, terminal)
  if (connection !== undefined) return connection
  throw new Refusal(
    'No node was given: name some, such as 127.0.0.1:7000, or set SLOTWISE_NODES, or give --profile NAME.',
  )
}

/** The same, for what also works without a cluster: nothing where no node was given in any way. */
export async function perhapsConnection(
  flags: ConnectionFlags,
  positional: readonly string[],
  terminal: Terminal,
): Promise<Connection | undefined> {
  const { env } = terminal
  const profile = flags.profile === undefined ? undefined : await profileCalled(flags.profile, env)
  const given = [...positional, ...(flags.nodes ?? [])]
  const { SLOTWISE_NODES: fromEnvironment = '', SLOTWISE_USER: userOfEnvironment } = env
  const list = readNodes(given.length > 0 ? given : (profile?.nodes ?? [fromEnvironment].filter(Boolean)))
  if (list.nodes.length === 0) return undefined
  const username = flags.user ?? list.user ?? profile?.user ?? (userOfEnvironment || undefined)
  const password = await passwordOf(flags, profile, terminal)
  if (username !== undefined && password === undefined) {
    throw new Refusal(
      `The user ${JSON.stringify(username)} needs a password: give --password-file FILE, SLOTWISE_PASSWORD or --ask-password.`,
    )
  }
  const tls = await tlsOf(flags, profile, list.tls === true)
  const map = endpointMap(flags.map ?? profile?.map ?? [])
  return {
    nodes: list.nodes,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    ...(map === undefined ? {} : { endpointMap: map }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout }),
  }
}

/** What checks profiles is only loaded by who has some: most command lines name none. */
async function profileCalled(name: string, env: Terminal['env']): Promise<Profile> {
  const { readProfile } = await import('../profiles/store.js')
  return await readProfile(name, env)
}

/** Never from an argument, which everybody can see. */
export async function passwordOf(
  { askPassword, passwordFile }: Pick<ConnectionFlags, 'askPassword' | 'passwordFile'>,
  profile: Profile | undefined,
  terminal: Terminal,
): Promise<string | undefined> {
  if (askPassword === true) {
    const typed = await terminal.ask('Password: ', { secret: true })
    if (typed !== undefined && typed !== '') return typed
    throw new Refusal('No password was given.')
  }
  const named = passwordFile ?? profile?.passwordFile
  if (named !== undefined) return await passwordIn(named)
  const { SLOTWISE_PASSWORD: password, SLOTWISE_PASSWORD_FILE: file } = terminal.env
  if (password !== undefined && password !== '') return password
  return file === undefined || file === '' ? undefined : await passwordIn(file)
}

/** Its first line: editors end files with a line break that is no part of it. */
async function passwordIn(file: string): Promise<string> {
  const [line = ''] = (await contentOf(file, '--password-file')).split(/\r?\n/)
  if (line !== '') return line
  throw new Refusal(`The password file ${file} is empty.`)
}

async function tlsOf(
  flags: ConnectionFlags,
  profile: Profile | undefined,
  isUrlSecure: boolean,
): Promise<TlsOptions | undefined> {
  const files = {
    ca: flags.ca ?? profile?.ca,
    cert: flags.cert ?? profile?.cert,
    key: flags.key ?? profile?.key,
  }
  if ((files.cert === undefined) !== (files.key === undefined)) {
    throw new Refusal('--cert and --key belong together: give both.')
  }
  const named = Object.entries(files).flatMap(([name, file]) =>
    file === undefined ? [] : [[name, file] as const],
  )
  if (named.length === 0 && flags.tls !== true && profile?.tls !== true && !isUrlSecure) return undefined
  const contents = named.map(async ([name, file]) => [name, await contentOf(file, `--${name}`)] as const)
  return Object.fromEntries(await Promise.all(contents))
}

async function contentOf(file: string, option: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'this user may not' : String(code)
    throw new Refusal(`The file ${file} of ${option} cannot be read: ${why}.`)
  }
}

/** Shorter than a service's: somebody sits there and waits. */
const CONNECT_MS = 3000

/** Uses a port of the cluster, and closes it. */
export async function withPort<R>(
  connection: Connection & Pick<ConnectOptions, 'namespace'>,
  terminal: Pick<Terminal, 'signal'>,
  use: (port: RedisPort) => Promise<R>,
): Promise<R> {
  const { timeoutMs, ...options } = connection
  terminal.signal.throwIfAborted()
  const { connect } = await import('slotwise/ioredis')
  const port = await connect({
    ...options,
    clientName: 'slotwise-cli',
    connectTimeoutMs: timeoutMs ?? CONNECT_MS,
    ...(timeoutMs === undefined ? {} : { commandTimeoutMs: timeoutMs }),
    // What fails in the background shows in what a command says of the nodes.
    onError: () => {},
  })
  try {
    return await use(port)
  } finally {
    await port.close()
  }
}
