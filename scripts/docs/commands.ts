import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Block, Finding } from './blocks.js'

/** npm's short words for scripts of the same name. */
const LIFECYCLE = new Set(['start', 'test', 'stop', 'restart'])

/** Commands in shell blocks that name an npm script or a file that is not there. */
export function brokenCommands(block: Block, root: string): Finding[] {
  return block.code.split('\n').flatMap((text, i) =>
    text
      .replace(/(^|\s)#.*$/, '')
      .split(/&&|\|\||[;|]/)
      .flatMap((command) => {
        const message = problemOf(command.trim().replace(/^\$ /, ''), root)
        return message === undefined ? [] : [{ file: block.file, line: block.line + i, message }]
      }),
  )
}

function problemOf(command: string, root: string): string | undefined {
  const words = command.split(/\s+/).filter((word) => !/^\w+=/.test(word))
  if (words[0] === 'npm') {
    const script = words[1] === 'run' ? words.slice(2).find((word) => !word.startsWith('-')) : words[1]
    if (script === undefined || (words[1] !== 'run' && !LIFECYCLE.has(script))) return undefined
    const workspace = /\s(?:-w|--workspace)[ =](\S+)/.exec(command)?.[1]
    const where = workspace === undefined ? root : workspaceFolder(root, workspace)
    if (where === undefined) return `there is no workspace ${workspace}`
    return script in scriptsOf(where) ? undefined : `there is no npm script ${script}`
  }
  if (words[0] === 'node') {
    const file = words.slice(1).find((word) => /\.[cm]?[jt]s$/.test(word))
    if (file !== undefined && !existsSync(join(root, file))) return `there is no file ${file}`
  }
  return undefined
}

function scriptsOf(folder: string): Readonly<Record<string, string>> {
  const { scripts = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    scripts?: Record<string, string>
  }
  return scripts
}

/** A workspace goes by its folder or by its name. */
function workspaceFolder(root: string, workspace: string): string | undefined {
  const folders = ['packages', 'apps']
    .filter((parent) => existsSync(join(root, parent)))
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
  const found = folders.find((folder) => {
    const { name } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as { name: string }
    return workspace === folder || workspace === name
  })
  return found && join(root, found)
}
