import type { Leaf } from '../commands/completion.js'

/** Completes the words of a command and its options, each with what it is for. */
export function fish(leaves: readonly Leaf[]): string {
  const top = leaves.filter(({ path }) => path.length === 1).map(({ path }) => path.join(' '))
  const lines = leaves.flatMap(({ path, options, words }) => {
    const here = conditionOf(
      path,
      top,
      words.map(({ word }) => word),
    )
    const named = words.map(
      ({ word, about }) =>
        `complete -c slotwise -n ${quoted(here.words)} -a ${word}${about === '' ? '' : ` -d ${quoted(about)}`}`,
    )
    const flagged = options.map(({ flags, about, takesValue, isFile, choices }) => {
      const names = flags.map((flag) =>
        flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
      )
      const value = !takesValue
        ? ''
        : isFile
          ? ' -r -F'
          : choices.length > 0
            ? ` -x -a ${quoted(choices.join(' '))}`
            : ' -x'
      return `complete -c slotwise -n ${quoted(here.options)} ${names.join(' ')}${value} -d ${quoted(about)}`
    })
    return [...named, ...flagged]
  })
  return `# Completes slotwise in fish.
complete -c slotwise -f
${lines.join('\n')}
`
}

function conditionOf(path: readonly string[], top: readonly string[], below: readonly string[]) {
  const [first, second] = path
  if (first === undefined)
    return {
      words: `not __fish_seen_subcommand_from ${top.join(' ')}`,
      options: `not __fish_seen_subcommand_from ${top.join(' ')}`,
    }
  const seen = `__fish_seen_subcommand_from ${first}`
  if (second !== undefined)
    return { words: 'false', options: `${seen}; and __fish_seen_subcommand_from ${second}` }
  const words =
    below.length === 0 ? 'false' : `${seen}; and not __fish_seen_subcommand_from ${below.join(' ')}`
  return { words, options: seen }
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
