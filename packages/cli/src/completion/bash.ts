import type { Leaf } from '../commands/completion.js'

/** Completes the words of a command, its options, and files where an option names one. */
export function bash(leaves: readonly Leaf[]): string {
  const names = leaves.filter(({ path }) => path.length > 0)
  const cases = leaves.map(({ path, options, words }) => {
    const all = [...words.map(({ word }) => word), ...options.flatMap(({ flags }) => flags)]
    return `    '${path.join(' ')}') words='${all.join(' ')}' ;;`
  })
  const valued = [
    ...new Map(leaves.flatMap(({ options }) => options.map((one) => [one.flags.join('|'), one]))).values(),
  ]
  const values = valued
    .filter(({ takesValue }) => takesValue)
    .map(({ flags, isFile, choices }) => {
      const reply = isFile ? '_slotwise_files' : `COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$cur"))`
      return `    ${flags.join('|')}) ${reply}; return ;;`
    })
  // Line by line: the name of a file may hold blanks, and stars, which an unquoted list would take apart.
  return `# Completes slotwise in bash: source <(slotwise completion bash)
_slotwise_files() {
  local file
  compopt -o filenames 2>/dev/null
  COMPREPLY=()
  while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -- "$cur")
}
_slotwise() {
  local cur prev path='' word words
  cur=\${COMP_WORDS[COMP_CWORD]}
  prev=\${COMP_WORDS[COMP_CWORD-1]}
  case $prev in
${values.join('\n')}
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${names.map(({ path }) => `'${path.join(' ')}'`).join('|')}) path="\${path:+$path }$word" ;;
    esac
  done
  case $path in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _slotwise slotwise
`
}
