import type { Finding } from '../../src/cluster/index.js'
import type { LocalCluster } from '../../src/local/index.js'
import type { RedisPort, Reply } from '../../src/redis/index.js'

export const idsOf = (findings: readonly Finding[]): readonly string[] => findings.map(({ id }) => id)

/** The commands of Redis that a fix prints. */
function commandsOf({ fix }: Finding): readonly (readonly [string, ...string[]])[] {
  return [...fix.matchAll(/`([A-Z]{2,}[^`]*)`/g)].map(([, command = '']) => {
    const [name = '', ...args] = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(
      ([, quoted, plain]) => quoted ?? plain ?? '',
    )
    return [name, ...args]
  })
}

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
