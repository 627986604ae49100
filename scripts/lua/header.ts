import type { Comment, Script } from './parse.js'

/** What the comment at the top of a script promises about it. */
export interface Header {
  readonly keys: readonly string[]
  /** The last one may end in `...`: as many as the caller likes. */
  readonly args: readonly string[]
}

/** A header that says too little, or something nobody understands. */
export class HeaderError extends Error {
  readonly line: number

  constructor(line: number, message: string) {
    super(message)
    this.line = line
  }
}

const NAME = /^[a-z][a-z0-9_]*$/

/**
 * Reads the contract from the comment that a script begins with: its purpose in free words, then `@key name`,
 * `@arg name description` in the order of `KEYS` and `ARGV`, and one `@return`. Only a part of scripts may have no key.
 */
export function readHeader(script: Script, { isPart = false } = {}): Header {
  const keys: string[] = []
  const args: string[] = []
  let purpose = false
  let returns = false
  for (const { line, text } of headerLines(script)) {
    const tag = /^@(\w*)\s*(.*)$/.exec(text)
    if (tag === null) {
      purpose ||= text !== '' && keys.length + args.length === 0
      continue
    }
    const [, word = '', rest = ''] = tag
    const [name = '', ...description] = rest.split(/\s+/)
    if (word === 'return') {
      if (returns) throw new HeaderError(line, 'a second @return')
      if (name === '') throw new HeaderError(line, '@return must say what comes back')
      returns = true
    } else if (word === 'key') {
      keys.push(checkedName(line, name, keys, args))
    } else if (word === 'arg') {
      if (args.at(-1)?.endsWith('...')) throw new HeaderError(line, `nothing can follow ${args.at(-1)}`)
      checkedName(line, name.replace(/\.\.\.$/, ''), keys, args)
      if (description.length === 0) throw new HeaderError(line, `@arg ${name} must say what it is`)
      args.push(name)
    } else {
      throw new HeaderError(line, `unknown tag @${word}: there are @key, @arg and @return`)
    }
  }
  if (!purpose) throw new HeaderError(1, 'a script begins with a comment that says what it is for')
  if (keys.length === 0 && !isPart)
    throw new HeaderError(1, 'a script needs at least one @key: it decides on the node')
  if (!returns) throw new HeaderError(1, 'the header lacks @return')
  return { keys, args }
}

function checkedName(line: number, name: string, keys: readonly string[], args: readonly string[]): string {
  if (!NAME.test(name))
    throw new HeaderError(line, `"${name}" is no name: small letters, digits, underscores`)
  if ([...keys, ...args].some((other) => other === name || other === `${name}...`))
    throw new HeaderError(line, `${name} is declared twice`)
  return name
}

/** The comments from line 1 on without a gap. */
function headerLines({ comments }: Script): { readonly line: number; readonly text: string }[] {
  const lines: { readonly line: number; readonly text: string }[] = []
  for (const comment of comments) {
    if (!comment.wholeLine || comment.line !== lines.length + 1) break
    lines.push(...linesOf(comment))
  }
  return lines
}

function linesOf(comment: Comment): { readonly line: number; readonly text: string }[] {
  return comment.text.split('\n').map((text, i) => ({ line: comment.line + i, text: text.trim() }))
}
