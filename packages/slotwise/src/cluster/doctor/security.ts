import type { Examined, ExaminedNode } from './examine.js'
import { type Found, found } from './finding.js'
import { listensBeyondLoopback } from './hosts.js'

/** What strangers could do. A server that only its own machine reaches has none. */
export function security({ nodes }: Examined): Found[] {
  return nodes
    .filter(listensBeyondLoopback)
    .flatMap((node) => [...openToAll(node), ...dangerous(node), ...plaintext(node)])
}

/** In protected mode a server without a password serves its own machine only, wherever it listens. */
function openToAll({ name, config, defaultUser }: ExaminedNode): Found[] {
  const isOpen = defaultUser.includes('on') && defaultUser.includes('nopass')
  if (!isOpen || config.get('protected-mode') !== 'no') return []
  const evidence = `${name} listens on ${config.get('bind')}, and its user default is on and needs no password`
  return [found('open-to-all', name, evidence)]
}

function dangerous({ name, defaultUser, dangerous: commands }: ExaminedNode): Found[] {
  if (!defaultUser.includes('on') || commands.length === 0) return []
  const rules = commands.map((command) => `-${command.toLowerCase().replace(' ', '|')}`).join(' ')
  const evidence = `the user default of ${name} may run ${commands.join(', ')}`
  return [found('dangerous-commands', name, evidence, { rules })]
}

function plaintext({ name, config }: ExaminedNode): Found[] {
  const port = config.get('port')
  if (port === undefined || port === '0') return []
  const bus = config.get('tls-cluster') === 'no' ? ', and so does its bus' : ''
  return [found('plaintext', name, `${name} speaks plain text on port ${port}${bus}, beyond loopback`)]
}
