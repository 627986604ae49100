import {
  ConfigurationError,
  RedisUnavailableError,
  type SlotwiseError,
  UnexpectedReplyError,
} from '../errors.js'

/** One sentence for why no seed could be used, naming the node and what to try. */
export function unreachable(seeds: readonly string[], reasons: readonly unknown[]): SlotwiseError {
  const explained = reasons.find((reason) => reason instanceof ConfigurationError)
  if (explained !== undefined) return explained
  const words = reasons.map(lastWords)
  // A refusal tells more than a node that is away, so it is looked for first.
  for (const [index, text] of words.entries()) {
    const node = seeds[index] ?? 'the node'
    const known = explain(node, text, reasons[index])
    if (known !== undefined) return known
  }
  const list = seeds.map((seed, index) => `${seed} (${words[index] ?? 'no answer'})`).join(', ')
  return new RedisUnavailableError(
    `no node can be reached: ${list}. Check the addresses, that the servers run, and that \`tls\` is set if and only if they want it`,
    {
      node: seeds[0],
      cause: reasons[0],
    },
  )
}

function explain(node: string, text: string, cause: unknown): SlotwiseError | undefined {
  if (/WRONGPASS|invalid password|invalid username-password/i.test(text)) {
    return new ConfigurationError(
      `${node} refuses the user name or password: check \`username\` and \`password\``,
      { cause },
    )
  }
  if (/NOAUTH|authentication required/i.test(text)) {
    return new ConfigurationError(
      `${node} wants a password: give \`password\`, and \`username\` if it has users`,
      { cause },
    )
  }
  if (/NOPERM/.test(text)) {
    return new ConfigurationError(`${node} does not let this user ask CLUSTER NODES: grant +cluster|nodes`, {
      cause,
    })
  }
  if (/unknown command.*cluster/i.test(text)) {
    return new ConfigurationError(
      `${node} does not know CLUSTER: if it is a sentinel, say of what, sentinel: { primaryName }; if it is a proxy, name the servers themselves`,
      { cause },
    )
  }
  if (/wrong version number|packet length too long|EPROTO|SSL routines/i.test(text)) {
    return new ConfigurationError(`${node} does not speak TLS here: leave out \`tls\`, or use its TLS port`, {
      cause,
    })
  }
  if (/certificate|self.signed|ERR_TLS/i.test(text)) {
    return new ConfigurationError(
      `the certificate of ${node} is not trusted (${text}): give its \`ca\` in \`tls\``,
      { cause },
    )
  }
  if (/Protocol error|Unknown RESP type|does not answer CLUSTER NODES/i.test(text)) {
    return new UnexpectedReplyError(
      `${node} is not a Redis server, or wants TLS: check the port, or set \`tls\``,
      { cause },
    )
  }
  return undefined
}

/** The innermost message: what the socket or the server said. */
function lastWords(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason)
  if (reason.cause !== undefined) return lastWords(reason.cause)
  // Node reports several addresses of one host as an aggregate with an empty message.
  if (reason instanceof AggregateError && reason.errors.length > 0) return lastWords(reason.errors[0])
  return reason.message === '' ? reason.name : reason.message
}

/** What is said of a slot that nobody serves, and what to try. */
export function unserved(slot: number | undefined): string {
  return `no primary serves slot ${slot}; \`slotwise doctor\` says why, and what to do`
}
