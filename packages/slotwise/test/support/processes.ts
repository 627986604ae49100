import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { processInfo } from '../../src/local/process.js'

/** Living processes whose command line holds this text. */
export function processesWith(text: string): readonly number[] {
  const all =
    process.platform === 'linux'
      ? readdirSync('/proc')
      : execFileSync('ps', ['-ax', '-o', 'pid='], { encoding: 'utf8' }).split('\n')
  return all.map(Number).filter((pid) => pid > 0 && processInfo(pid)?.command.includes(text))
}
