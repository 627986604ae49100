import { createHash } from 'node:crypto'
import { basename, dirname, relative, sep } from 'node:path'
import { readHeader } from './header.js'
import { parseLua, withoutComments } from './parse.js'

/** Where a script lies, and where the sources of its package do. */
export interface ScriptFile {
  readonly path: string
  readonly sourceRoot: string
}

/** The TypeScript module that stands for a Lua file; `defineScript` takes what it exports. */
export function moduleOf({ path, sourceRoot }: ScriptFile, text: string): string {
  const script = parseLua(text)
  const { keys, args } = readHeader(script)
  const source = withoutComments(script)
  const port = posix(relative(dirname(path), `${sourceRoot}/redis/script.js`))
  const type = `ScriptSource<${union(keys)}, ${union(args)}>`
  return `${[
    `// Generated from ${basename(path)} by \`npm run generate\`: change that file, not this one.`,
    `import type { ScriptSource } from '${port.startsWith('.') ? port : `./${port}`}'`,
    '',
    // Not `as const`: declarations would then hold the whole script a second time.
    `const script: ${type} = {`,
    `  name: ${quoted(posix(relative(sourceRoot, path)).replace(/\.lua$/, ''))},`,
    `  keys: [${keys.map(quoted).join(', ')}],`,
    `  args: [${args.map(quoted).join(', ')}],`,
    `  sha1: ${quoted(createHash('sha1').update(source).digest('hex'))},`,
    `  source: ${JSON.stringify(source)},`,
    '}',
    'export default script',
  ].join('\n')}\n`
}

const union = (names: readonly string[]): string =>
  names.length === 0 ? 'never' : names.map(quoted).join(' | ')
const quoted = (text: string): string => `'${text}'`
const posix = (path: string): string => path.split(sep).join('/')
