import type { Argument, Reply } from '../../redis/port.js'
import { type Answer, Status } from './answer.js'

// oxlint-disable-next-line no-control-regex
const ASCII = /^[\u0000-\u007f]*$/

/** An argument as a server gets it: its bytes, one a character. */
export function received(argument: Argument): string {
  if (typeof argument === 'string')
    return ASCII.test(argument) ? argument : Buffer.from(argument).toString('latin1')
  if (typeof argument === 'number' || typeof argument === 'bigint') return String(argument)
  return Buffer.from(argument.buffer, argument.byteOffset, argument.byteLength).toString('latin1')
}

/** An answer as a caller gets it. */
export function sent(answer: Answer, binary: boolean): Reply {
  if (answer === null || typeof answer === 'number') return answer
  if (answer instanceof Status) return binary ? Buffer.from(answer.text) : answer.text
  if (typeof answer !== 'string') return answer.map((one) => sent(one, binary))
  if (binary) return Buffer.from(answer, 'latin1')
  return ASCII.test(answer) ? answer : Buffer.from(answer, 'latin1').toString('utf8')
}
