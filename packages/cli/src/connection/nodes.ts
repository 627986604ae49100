import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { connect, isIP } from 'node:net'
import { Refusal } from '../exit.js'

/** What a list of nodes, or a URL, says. */
export interface NodeList {
  readonly nodes: readonly string[]
  readonly user?: string | undefined
  readonly tls?: boolean | undefined
}

export const NO_PASSWORD_HERE =
  'A password among the arguments can be read by everybody on this machine, in its list of processes, and stays in the history of the shell: give it by --password-file FILE, by SLOTWISE_PASSWORD or by --ask-password.'

/**
 * Reads `host:port`, lists of them, and `redis://user@host:port,host:port` or `rediss://…`.
 *
 * @throws Refusal never quoting what might be a password
 */
export function readNodes(texts: readonly string[]): NodeList {
  const lists = texts.map(readOne)
  const nodes = [...new Set(lists.flatMap((list) => list.nodes))]
  const users = new Set(lists.flatMap(({ user }) => user ?? []))
  if (users.size > 1) throw new Refusal('The URLs name several users: one logs in at all nodes.')
  const [user] = users
  const tls = lists.some((list) => list.tls === true)
  return { nodes, ...(user === undefined ? {} : { user }), ...(tls ? { tls } : {}) }
}

function readOne(text: string): NodeList {
  const [, scheme, before, hosts = ''] = /^(?:(rediss?):\/\/)?(?:(.*)@)?([^@]*)$/i.exec(text) ?? []
  if (before?.includes(':') === true) throw new Refusal(NO_PASSWORD_HERE)
  if (before !== undefined && scheme === undefined) {
    throw new Refusal('A node is given as host:port, and the user apart from it: --user NAME.')
  }
  const list = hosts
    .replace(/\/$/, '')
    .split(',')
    .map((node) => node.trim())
  const nodes = list.filter((node) => node !== '').map((node) => readNode(node, scheme !== undefined))
  if (nodes.length === 0) throw new Refusal(`There is no node in ${JSON.stringify(text)}.`)
  return {
    nodes,
    ...(before === undefined || before === '' ? {} : { user: decoded(before) }),
    ...(scheme?.toLowerCase() === 'rediss' ? { tls: true } : {}),
  }
}

/** In a URL the port may be left out, as in others. */
function readNode(node: string, isUrl: boolean): string {
  const [, host, port] = /^(\[[\da-f:.]+\]|[^\s:[\]/@?#]+)(?::(\d{1,5}))?$/i.exec(node) ?? []
  const number = Number(port ?? (isUrl ? 6379 : 0))
  if (host !== undefined && number > 0 && number < 65_536) return `${host}:${number}`
  throw new Refusal(
    `A node must be host:port, such as 10.0.0.1:6379 or [::1]:6379, got ${JSON.stringify(node)}.`,
  )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Refusal('The user in the URL is not percent-encoded as it should be.')
  }
}

/**
 * A node as the cluster names it: nodes know each other by numbers, people know them by names. Ids, and names that mean
 * nothing here, are left as they are.
 */
export async function asNodesKnow(node: string): Promise<string> {
  const [, host = '', port = ''] = /^([^\s:[\]/@]+):(\d{1,5})$/.exec(node) ?? []
  if (host === '' || isIP(host) !== 0) return node
  const address =
    (await addressThatAnswers(host, Number(port))) ?? (await lookup(host).catch(() => undefined))?.address
  if (address === undefined) return node
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`
}

/** Of several addresses of a name the server need not listen at each. */
async function addressThatAnswers(host: string, port: number): Promise<string | undefined> {
  const socket = connect({ host, port })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(ANSWERS_MS) })
    return socket.remoteAddress
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}

/** Long enough for any server that is there. */
const ANSWERS_MS = 2000
