/** What an error class says of itself in its source. */
export interface DocumentedError {
  readonly name: string
  readonly code: string
  readonly words: string
  readonly fields: readonly { readonly name: string; readonly type: string; readonly words: string }[]
}

const CLASS = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport class (\w+) extends \w+ \{\n([\s\S]*?)\n\}/g
const FIELD = /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n\s*)?readonly (\w+): (.+)$/gm

/** Reads the error classes of `errors.ts`, in their order. */
export function documentedErrors(source: string): DocumentedError[] {
  const found = [...source.matchAll(CLASS)].map(([, doc = '', name = '', body = '']) => {
    const code = /^ {2}readonly code = '([A-Z_]+)'$/m.exec(body)?.[1]
    if (code === undefined) throw new Error(`${name} has no line of the form readonly code = 'NAME'`)
    // What stands in the constructor's options is documented by the field it becomes.
    const head = body.split(/^ {2}constructor/m)[0] ?? ''
    const fields = [...head.matchAll(FIELD)].map(([, words = '', field = '', type = '']) => {
      return { name: field, type, words: proseOf(words) }
    })
    return { name, code, words: proseOf(doc), fields }
  })
  const classes = source.match(/^export class /gm)?.length ?? 0
  if (found.length !== classes) throw new Error('every error class needs a doc comment right above it')
  return found
}

/** The page of all error codes. */
export function errorsPage(source: string): string {
  const errors = documentedErrors(source)
  return `<!-- Generated from packages/slotwise/src/errors.ts by \`npm run generate\`: change that file, not this one. -->

# Errors

A refusal, such as a limit reached, is a value. An error is a failure, and there is one class for each that a caller
can act on. All extend \`SlotwiseError\` and are exported by \`slotwise\`. Branch on \`code\`, which never changes once
published, or on the class; messages may change. What was the matter underneath is in \`cause\`.

| code | class | in short |
|---|---|---|
${errors.map((error) => `| [\`${error.code}\`](#${anchor(error)}) | \`${error.name}\` | ${inShort(error)} |`).join('\n')}

${errors.map(section).join('\n\n')}
`
}

const anchor = ({ code }: DocumentedError): string => code.toLowerCase()

const inShort = ({ words }: DocumentedError): string =>
  (/^.*?[.:](?=\s|$)/.exec(words)?.[0] ?? words).replace(/:$/, '.').replaceAll('|', '\\|')

function section({ name, code, words, fields }: DocumentedError): string {
  const list = fields.map((field) => {
    const said = field.words === '' ? '' : `: ${field.words}`
    return `* \`${field.name}\` (\`${field.type}\`)${said}`
  })
  return [`## ${code}`, `\`${name}\`. ${words}`, ...(list.length > 0 ? [list.join('\n')] : [])].join('\n\n')
}

function proseOf(doc: string): string {
  return doc
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join(' ')
    .trim()
}
