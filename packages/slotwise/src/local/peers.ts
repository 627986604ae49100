import { execFile } from 'node:child_process'
import { createServer, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { ConfigurationError } from '../errors.js'

/** Index of the node at the other end of a connection; nobody's for any client. Known better as time goes by. */
export type Peer = () => number | undefined

/** Tells which of our nodes is at the other end of a connection, whatever it says and however it is encrypted. */
export interface Peers {
  /** The address that a node has to speak from. */
  sourceOf(index: number): string | undefined
  identify(socket: Socket): Promise<Peer>
}

/**
 * By address where every address of 127.0.0.0/8 is this machine's, as on Linux; else by asking the system whose
 * connection it is, as on macOS.
 *
 * @throws ConfigurationError neither is possible
 */
export async function findPeers(pids: () => readonly number[]): Promise<Peers> {
  return (await canSpeakFrom(addressOf(0))) ? byAddress : await byProcess(pids)
}

/** An address that nobody else on this machine is likely to speak from. */
const addressOf = (index: number): string => `127.83.${(index + 1) >> 8}.${(index + 1) & 255}`

const byAddress: Peers = {
  sourceOf: addressOf,
  identify: async ({ remoteAddress = '' }) => {
    const [, high, low] = /^127\.83\.(\d+)\.(\d+)$/.exec(remoteAddress) ?? []
    const index = high === undefined ? undefined : Number(high) * 256 + Number(low) - 1
    return () => index
  },
}

function canSpeakFrom(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host, port: 0 }, () => server.close(() => resolve(true)))
  })
}

const run = promisify(execFile)

/** Slower, and a connection that is gone before it was looked at is nobody's. */
async function byProcess(pids: () => readonly number[]): Promise<Peers> {
  try {
    await run('lsof', ['-v'])
  } catch (error) {
    throw new ConfigurationError('networkFaults needs the program lsof on this system', { cause: error })
  }
  return {
    sourceOf: () => undefined,
    identify: async ({ remoteAddress, remotePort }) => {
      const args = ['-nP', `-iTCP:${remotePort}`, '-sTCP:ESTABLISHED', '-Fpn']
      // It fails when nothing is found.
      const { stdout } = await run('lsof', args).catch(() => ({ stdout: '' }))
      const pid = processAt(`${remoteAddress}:${remotePort}`, stdout)
      return () => {
        const index = pid === undefined ? -1 : pids().indexOf(pid)
        return index < 0 ? undefined : index
      }
    },
  }
}

/** The process whose end of a connection this is, in what lsof prints: a line `p…` for a process, then its files. */
export function processAt(end: string, printed: string): number | undefined {
  let pid: number | undefined
  for (const line of printed.split('\n')) {
    if (line.startsWith('p')) pid = Number(line.slice(1))
    if (line.startsWith(`n${end}->`)) return pid
  }
  return undefined
}
