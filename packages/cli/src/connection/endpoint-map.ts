import type { Endpoint } from 'slotwise/redis'
import { Refusal } from '../exit.js'

interface Side {
  readonly host: string
  readonly port: number | undefined
}

/**
 * Where nodes are reached, by rules such as `10.0.0.1:7000=127.0.0.1:7000`. A `*` stands for any host, and a port that is
 * left out on the right stays as it is: `*=127.0.0.1`. The rule that says most about an address is the one that counts.
 *
 * @throws Refusal that quotes the rule
 */
export function endpointMap(rules: readonly string[]): ((endpoint: Endpoint) => Endpoint) | undefined {
  if (rules.length === 0) return undefined
  const parsed = rules.map(readRule).toSorted((a, b) => weight(b.from) - weight(a.from))
  return ({ host, port }) => {
    const rule = parsed.find(
      ({ from }) => (from.host === '*' || from.host === host) && (from.port ?? port) === port,
    )
    return rule === undefined ? { host, port } : { host: rule.to.host, port: rule.to.port ?? port }
  }
}

/** An address says more than a host, a host more than a port. */
const weight = ({ host, port }: Side): number => (host === '*' ? 0 : 2) + (port === undefined ? 0 : 1)

/** @throws Refusal */
export function readRule(rule: string): { readonly from: Side; readonly to: Side } {
  const [from, to, ...rest] = rule.split('=').map(readSide)
  if (from === undefined || to === undefined || rest.length > 0 || to.host === '*') {
    throw new Refusal(
      `--map must be HOST:PORT=HOST:PORT, or *=HOST to keep the ports, got ${JSON.stringify(rule)}.`,
    )
  }
  if (from.host === '*' && from.port === undefined && to.port !== undefined) {
    throw new Refusal(
      `--map ${JSON.stringify(rule)} would take every node for the same one: leave the port out, to keep theirs.`,
    )
  }
  return { from, to }
}

function readSide(text: string): Side | undefined {
  const [, v6, plain, digits] = /^(?:\[([\da-f:.]+)\]|(\*|[^\s:[\]/@*]+))(?::(\d{1,5}))?$/i.exec(text) ?? []
  const host = v6 ?? plain
  const port = digits === undefined ? undefined : Number(digits)
  if (host === undefined || (port !== undefined && (port < 1 || port > 65_535))) return undefined
  return { host, port }
}
