import { ConfigurationError } from '../errors.js'
import type { CommandCall } from './port.js'

/** They keep their connection until there is something, and with it everybody behind them. */
const BLOCKING = words('BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP')

/** They change what later commands of their connection mean, or when they are answered. */
const STATEFUL = words(
  'MULTI EXEC DISCARD WATCH UNWATCH SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE MONITOR ' +
    'SELECT QUIT RESET AUTH HELLO ASKING READONLY READWRITE SYNC PSYNC REPLCONF',
)
const STATEFUL_CLIENT = words('REPLY TRACKING CACHING SETNAME SETINFO NO-EVICT NO-TOUCH')

/** Most commands are one of these, as patterns spell them. */
const SHARED = words('EVALSHA GET HGET HMGET PTTL SET')

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(' '))
}

/**
 * Whether a command may share a connection with all others or has to have one to itself.
 *
 * @throws ConfigurationError for what would change a connection that is not the caller's
 */
export function connectionFor(command: CommandCall['command']): 'shared' | 'dedicated' {
  if (SHARED.has(command[0])) return 'shared'
  const word = command[0].toUpperCase()
  if (BLOCKING.has(word)) return 'dedicated'
  if (word === 'XREAD' || word === 'XREADGROUP') {
    const args = command.slice(1)
    // STREAMS ends the options; a stream may be called BLOCK.
    const options = args.slice(
      0,
      args.findIndex((arg) => is(arg, 'STREAMS')),
    )
    return options.some((arg) => is(arg, 'BLOCK')) ? 'dedicated' : 'shared'
  }
  if (STATEFUL.has(word) || (word === 'CLIENT' && STATEFUL_CLIENT.has(String(command[1]).toUpperCase()))) {
    const whole = word === 'CLIENT' ? `${word} ${String(command[1]).toUpperCase()}` : word
    throw new ConfigurationError(
      `${whole} changes its connection, which is everybody's: use \`borrow\` for one of your own`,
    )
  }
  if (word === 'WAIT' || word === 'WAITAOF') {
    throw new ConfigurationError(
      `${word} waits for the writes of its own connection, so alone it waits for none of yours: use \`writeThenWait\``,
    )
  }
  return 'shared'
}

const is = (arg: unknown, word: string): boolean => typeof arg === 'string' && arg.toUpperCase() === word
