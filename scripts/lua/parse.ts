import luaparse, { type Chunk } from 'luaparse'

/** A comment and where it stands. */
export interface Comment {
  /** Without the dashes. */
  readonly text: string
  /** Of its first character, from 1. */
  readonly line: number
  readonly lastLine: number
  readonly range: readonly [from: number, to: number]
  /** Nothing else stands on its first line. */
  readonly wholeLine: boolean
}

/** A parsed script: one parse serves the generator and the linter. */
export interface Script {
  readonly text: string
  readonly chunk: Chunk
  readonly comments: readonly Comment[]
}

/** A script that is no Lua 5.1. */
export class LuaSyntaxError extends Error {
  readonly line: number

  constructor(line: number, message: string) {
    super(message)
    this.line = line
  }
}

/** Parses Lua as Redis runs it, which is 5.1. */
export function parseLua(text: string): Script {
  try {
    const chunk = luaparse.parse(text, {
      luaVersion: '5.1',
      comments: true,
      locations: true,
      ranges: true,
      // Texts are kept as bytes, one a character, as Lua has them.
      encodingMode: 'pseudo-latin1',
    })
    const found = (chunk.comments ?? []) as unknown as readonly Located[]
    return { text, chunk, comments: found.map((comment) => located(text, comment)) }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const { line } = error as SyntaxError & { line?: number }
    throw new LuaSyntaxError(line ?? 1, error.message.replace(/^\[\d+:\d+\] /, ''))
  }
}

/** The parser's types leave out what the options above ask for. */
interface Located {
  readonly value: string
  readonly range: readonly [number, number]
  readonly loc: { readonly start: { readonly line: number }; readonly end: { readonly line: number } }
}

function located(text: string, { value, range, loc }: Located): Comment {
  const lineStart = text.lastIndexOf('\n', range[0] - 1) + 1
  return {
    text: value,
    line: loc.start.line,
    lastLine: loc.end.line,
    range,
    wholeLine: text.slice(lineStart, range[0]).trim() === '',
  }
}

/**
 * The script without its comments. Lines keep their numbers, so that the line Redis names in an error is the
 * line in the `.lua` file; strings are untouched, because the parser, not a pattern, said where comments are.
 */
export function withoutComments({ text, comments }: Script): string {
  let stripped = ''
  let from = 0
  for (const { range, line, lastLine } of comments) {
    const endsLine = lastLine > line || /^[ \t]*(\r?\n|$)/.test(text.slice(range[1]))
    const before = text.slice(from, range[0])
    // A comment stands for a space, and at the end of a line for nothing.
    stripped += endsLine ? before.replace(/[ \t]+$/, '') : `${before} `
    stripped += '\n'.repeat(lastLine - line)
    from = range[1]
  }
  return `${`${stripped}${text.slice(from)}`.trimEnd()}\n`
}
