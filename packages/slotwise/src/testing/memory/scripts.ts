import {
  exactText,
  type ScriptContext,
  ScriptError,
  Table,
  type Twin,
  table,
  type Value,
} from '../lua/index.js'
import { type Answer, CommandError, Status } from './answer.js'
import { execute, type Surroundings } from './commands.js'

/** Runs a script's twin. What it has written before an error stays, as in Redis. */
export function runTwin(
  twin: Twin,
  keys: readonly string[],
  args: readonly string[],
  at: Surroundings,
): Answer {
  const call = (command: readonly Value[]): Value => toLua(execute(command.map(argumentOf), at))
  const context: ScriptContext = {
    KEYS: table(keys),
    ARGV: table(args),
    call: (...command) => call(command),
    pcall: (...command) => {
      try {
        return call(command)
      } catch (error) {
        if (!(error instanceof CommandError)) throw error
        return table([], [['err', error.message]])
      }
    },
  }
  try {
    return toAnswer(twin.run(context))
  } catch (error) {
    if (error instanceof ScriptError) throw new CommandError(`ERR ${error.message} script: ${twin.name}`)
    throw error
  }
}

/** Numbers among the arguments of a command are written out, not rounded as `tostring` does. */
function argumentOf(value: Value): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return exactText(value, 17)
  throw new CommandError('ERR Lua redis lib command arguments must be strings or integers')
}

function toLua(answer: Answer): Value {
  if (answer === null) return false
  if (answer instanceof Status) return table([], [['ok', answer.text]])
  return typeof answer === 'object' ? table(answer.map(toLua)) : answer
}

/** Fractions are cut off, and a list ends at its first gap. */
function toAnswer(value: Value): Answer {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return Math.trunc(value)
  if (value === true) return 1
  if (!(value instanceof Table)) return null
  const [failure, status] = [value.get('err'), value.get('ok')]
  if (typeof failure === 'string') throw new CommandError(failure)
  return typeof status === 'string' ? new Status(status) : value.list.map(toAnswer)
}
