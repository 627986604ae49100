import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { ConfigurationError } from '../errors.js'
import { shown } from '../options.js'
import type { Announced } from './network.js'

/** What the file of one node is made of. */
export interface NodeConfig {
  readonly dir: string
  readonly port: number
  readonly busPort: number
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly tlsFolder?: string | undefined
  readonly persistent: boolean
  readonly nodeTimeoutMs: number
  /** By which others know it, where there is a network of ours between. */
  readonly announced?: Announced | undefined
  /** The user's own settings, in the syntax of redis.conf; they come last and win. */
  readonly more: Readonly<Record<string, string>>
}

/** The text of redis.conf. In a file and not among the arguments, which every user of the machine can read. */
export function nodeConfig(node: NodeConfig): string {
  const { dir, port, busPort, username, password, tlsFolder } = node
  const lines: (readonly [string, ...string[]])[] = [
    ['bind', '127.0.0.1'],
    ['dir', dir],
    ['daemonize', 'no'],
    // The command line stays as it was, by which a later start knows its own.
    ['set-proc-title', 'no'],
    ['cluster-enabled', 'yes'],
    ['cluster-config-file', 'nodes.conf'],
    ['cluster-port', String(busPort)],
    ['cluster-node-timeout', String(node.nodeTimeoutMs)],
    // A replica is linked at once instead of after waiting for others that might want the same data.
    ['repl-diskless-sync-delay', '0'],
    // Otherwise a primary waits ten seconds at its end for a replica that hangs.
    ['shutdown-timeout', '0'],
    ['save', ''],
    ['appendonly', node.persistent ? 'yes' : 'no'],
  ]
  if (!node.persistent) lines.push(['enable-debug-command', 'yes'])
  if (tlsFolder === undefined) lines.push(['port', String(port)])
  else {
    lines.push(
      ['port', '0'],
      ['tls-port', String(port)],
      ['tls-cluster', 'yes'],
      ['tls-replication', 'yes'],
      ['tls-auth-clients', 'no'],
      ['tls-cert-file', join(tlsFolder, 'cert.pem')],
      ['tls-key-file', join(tlsFolder, 'key.pem')],
      ['tls-ca-cert-file', join(tlsFolder, 'ca.pem')],
    )
  }
  const { announced } = node
  if (announced !== undefined) {
    lines.push(
      ['cluster-announce-ip', '127.0.0.1'],
      // Later versions of Redis take the plain port for a second one beside that of TLS.
      [`cluster-announce-${tlsFolder === undefined ? '' : 'tls-'}port`, String(announced.port)],
      ['cluster-announce-bus-port', String(announced.busPort)],
    )
    if (announced.source !== undefined) lines.push(['bind-source-addr', announced.source])
  }
  if (password !== undefined) {
    lines.push(['masterauth', password])
    if (username === undefined) lines.push(['requirepass', password])
    else {
      const digest = createHash('sha256').update(password).digest('hex')
      lines.push(
        ['masteruser', username],
        ['user', 'default', 'off'],
        ['user', username, 'on', `#${digest}`, '~*', '&*', '+@all'],
      )
    }
  }
  const own = lines.map(([name, ...values]) => [name, ...values.map(quote)].join(' '))
  const theirs = Object.entries(node.more).map(([name, value]) => `${name} ${value === '' ? '""' : value}`)
  return `${[...own, ...theirs].join('\n')}\n`
}

/** Refuses what would break out of its line, or break what startLocalCluster relies on. */
export function checkConfig(config: Readonly<Record<string, string>>, networkFaults: boolean): void {
  const ours = new Set(
    'port tls-port bind dir daemonize cluster-enabled cluster-config-file cluster-port cluster-node-timeout requirepass masterauth masteruser user aclfile logfile set-proc-title'.split(
      ' ',
    ),
  )
  const network = /^(?:cluster|replica)-announce-|^bind-source-addr$/
  for (const [name, value] of Object.entries(config)) {
    if (networkFaults && network.test(name)) {
      throw new ConfigurationError(`config.${name} does not go together with networkFaults`)
    }
    if (!/^[a-z][a-z0-9-]*$/.test(name)) {
      throw new ConfigurationError(`config has no setting of Redis named ${shown(name)}`)
    }
    if (ours.has(name)) {
      throw new ConfigurationError(
        `config.${name} is set by startLocalCluster itself: use its own options instead`,
      )
    }
    // oxlint-disable-next-line no-control-regex
    if (typeof value !== 'string' || /[\u0000\r\n]/.test(value)) {
      throw new ConfigurationError(`config.${name} must be one line of text, got ${shown(value)}`)
    }
  }
}

function quote(value: string): string {
  if (/^[\w.:/@#~&*+-]+$/.test(value)) return value
  const bytes = Buffer.from(value)
  let text = ''
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c
    text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return `"${text}"`
}
