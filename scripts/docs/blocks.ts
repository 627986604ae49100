/** A fenced block of a document or of a doc comment. */
export interface Block {
  readonly file: string
  /** Of its first line of code, from 1. */
  readonly line: number
  /** The word behind the fence, in small letters. */
  readonly language: string
  readonly code: string
  /** The file that it shows, as `from=path` behind the language says. */
  readonly from?: string | undefined
}

/** Something that is wrong with a document. */
export interface Finding {
  readonly file: string
  readonly line: number
  readonly message: string
}

const FENCE = /^(\s*)(`{3,}|~{3,})\s*(\S*)(?:\s+from=(\S+))?/

/** The fenced blocks of a Markdown text. */
export function blocksOf(file: string, text: string, firstLine = 1): Block[] {
  const blocks: Block[] = []
  let open:
    | {
        readonly indent: string
        readonly fence: string
        readonly language: string
        readonly from: string | undefined
        line: number
      }
    | undefined
  let code: string[] = []
  for (const [i, line] of text.split('\n').entries()) {
    const fence = FENCE.exec(line)
    if (open === undefined) {
      if (fence === null) continue
      const [, indent = '', mark = '', language = '', from] = fence
      open = { indent, fence: mark, language: language.toLowerCase(), from, line: firstLine + i + 1 }
      code = []
    } else if (fence !== null && fence[2]?.startsWith(open.fence) === true && fence[3] === '') {
      const { line: at, language, from } = open
      blocks.push({ file, line: at, language, code: `${code.join('\n')}\n`, from })
      open = undefined
    } else {
      code.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line.trimStart())
    }
  }
  return blocks
}

/** The fenced blocks of the doc comments of a TypeScript text, and the examples that have none. */
export function examplesOf(
  file: string,
  text: string,
): { readonly blocks: Block[]; readonly findings: Finding[] } {
  const blocks: Block[] = []
  const findings: Finding[] = []
  for (const comment of text.matchAll(/^[ \t]*\/\*\*[\s\S]*?\*\//gm)) {
    const firstLine = text.slice(0, comment.index).split('\n').length
    const words = comment[0].replace(/\*\/$/, '').replace(/^[ \t]*\/?\*{1,2} ?/gm, '')
    blocks.push(...blocksOf(file, words, firstLine))
    for (const example of words.matchAll(/^@example[ \t]*(.*)\n?([^\n]*)/gm)) {
      if (FENCE.test(example[2] ?? '')) continue
      const line = firstLine + words.slice(0, example.index).split('\n').length - 1
      findings.push({ file, line, message: '@example must be followed by a ```ts block, which is compiled' })
    }
  }
  return { blocks, findings }
}

/** Text with its fenced blocks and `code` blanked out, so that nothing in them is taken for prose. */
export function proseOf(text: string): string {
  let fence: string | undefined
  return text
    .split('\n')
    .map((line) => {
      const mark = FENCE.exec(line)?.[2]
      if (fence === undefined && mark === undefined) return line.replace(/`[^`]*`/g, '')
      if (fence === undefined) fence = mark
      else if (mark?.startsWith(fence) === true) fence = undefined
      return ''
    })
    .join('\n')
}
