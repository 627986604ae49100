import type { Finding } from '../../src/cluster/index.js'
import type { LocalCluster } from '../../src/local/index.js'
import type { RedisPort, Reply } from '../../src/redis/index.js'

export const idsOf = (findings: readonly Finding[]): readonly string[] => findings.map(({ id }) => id)

type Words = readonly [string, ...(string | Buffer)[]]

/** The commands of Redis that a fix prints, as redis-cli would read them. */
function commandsOf({ fix }: Finding): readonly Words[] {
  return [...fix.matchAll(/`([A-Z]{2,}[^`]*)`/g)].map(([, command = '']): Words => {
    const [name = '', ...args] = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain = '']) =>
      quoted === undefined ? plain : unescaped(quoted),
    )
    return [String(name), ...args]
  })
}

const unescaped = (text: string): Buffer =>
  Buffer.from(
    text.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )

/** Does as the finding says: runs every command that its fix prints, or those that begin so, at its node or at those given. */
export async function remedy(
  port: RedisPort,
  finding: Finding,
  nodes: readonly (string | undefined)[] = [finding.node],
  start = '',
): Promise<void> {
  const commands = commandsOf(finding).filter((command) => command.join(' ').startsWith(start))
  if (commands.length === 0) throw new Error(`no command in: ${finding.fix}`)
  for (const node of nodes) {
    for (const command of commands) await port.onNode(node ?? '', command, { deadlineMs: 2000 })
  }
}

export const nameOf = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  `${host}:${port}`

/** Runs a command at one server, by its index. */
export async function at(
  port: RedisPort,
  cluster: LocalCluster,
  index: number,
  ...command: readonly [string, ...(string | number)[]]
): Promise<Reply> {
  const node = cluster.nodes[index]
  if (node === undefined) throw new Error(`there is no node ${index}`)
  return port.onNode(nameOf(node), command, { deadlineMs: 2000 })
}

/** Runs a command at every server. */
export async function everywhere(
  port: RedisPort,
  cluster: LocalCluster,
  ...command: readonly [string, ...(string | number)[]]
): Promise<void> {
  await Promise.all(cluster.nodes.map((_, index) => at(port, cluster, index, ...command)))
}

const SCRIPTED = new WeakSet<RedisPort>()

/** Whether the port makes up answers of nodes. */
export const isScripted = (port: RedisPort): boolean => SCRIPTED.has(port)

/** A port whose answers of nodes are real, but for those that `edit` changes; `more` takes the place of its methods. */
export function altered(
  port: RedisPort,
  edit: (command: string, reply: Reply, node: string) => Reply | Promise<Reply>,
  more: Partial<RedisPort> = {},
): RedisPort {
  const pass: RedisPort = {
    namespace: port.namespace,
    ...(port.setup === undefined ? {} : { setup: port.setup }),
    call: (...args) => port.call(...args),
    pipeline: (...args) => port.pipeline(...args),
    onEachPrimary: (...args) => port.onEachPrimary(...args),
    writeThenWait: (...args) => port.writeThenWait(...args),
    borrow: (target, use) => port.borrow(target, use),
    subscribe: (...args) => port.subscribe(...args),
    breaker: (key) => port.breaker(key),
    topology: () => port.topology(),
    onTopology: (listener) => port.onTopology(listener),
    close: () => port.close(),
    [Symbol.asyncDispose]: () => port.close(),
    onNode: async (node, command, options) =>
      edit(command.join(' '), await port.onNode(node, command, options), node),
    ...more,
  }
  SCRIPTED.add(pass)
  return pass
}

const SETTINGS = [
  ['maxmemory', '0'],
  ['maxmemory-policy', 'noeviction'],
  ['save', ''],
  ['appendonly', 'no'],
  ['min-replicas-to-write', '0'],
  ['maxclients', '10000'],
  ['bind', '127.0.0.1'],
  ['protected-mode', 'yes'],
  ['client-output-buffer-limit', 'replica 256mb 64mb 60 pubsub 32mb 8mb 60'],
] as const

/** Gives every server the settings back that startLocalCluster leaves it with. */
export async function asStarted(port: RedisPort, cluster: LocalCluster): Promise<void> {
  for (const [name, value] of SETTINGS) await everywhere(port, cluster, 'CONFIG', 'SET', name, value)
}
