import type { CompletedOption, Leaf } from '../commands/completion.js'

/** Completes the words of a command and its options, each with what it is for. */
export function zsh(leaves: readonly Leaf[]): string {
  const names = leaves.filter(({ path }) => path.length > 0)
  const cases = leaves.map(({ path, options, words }) => {
    const described = words.map(({ word, about }) => quoted(`${word}:${about}`))
    const describe =
      described.length === 0
        ? []
        : [`      below=(${described.join(' ')}); _describe -t commands command below`]
    return [
      `    '${path.join(' ')}')`,
      ...describe,
      `      _arguments -S ${options.map(argument).join(' ')} '*:'`,
      '      ;;',
    ].join('\n')
  })
  return `#compdef slotwise
# Completes slotwise in zsh: source <(slotwise completion zsh)
_slotwise() {
  local at='' word
  local -a before below
  before=("\${(@)words[2,CURRENT-1]}")
  for word in $before; do
    case "\${at:+$at }$word" in
      ${names.map(({ path }) => `'${path.join(' ')}'`).join('|')}) at="\${at:+$at }$word" ;;
    esac
  done
  case $at in
${cases.join('\n')}
  esac
}
compdef _slotwise slotwise
`
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** \`--flag[about]:value:action\`, where brackets and colons must be escaped. */
function argument({ flags, about, takesValue, isFile, choices }: CompletedOption): string {
  const [name = ''] = flags
  const safe = about.replace(/[[\]:\\]/g, '\\$&')
  const action = isFile ? '_files' : choices.length > 0 ? `(${choices.join(' ')})` : ' '
  return quoted(`${name}[${safe}]${takesValue ? `:value:${action}` : ''}`)
}
