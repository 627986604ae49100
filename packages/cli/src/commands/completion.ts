import { Argument, type Command, type Option } from 'commander'
import { act, type Runner } from '../action.js'
import { bash } from '../completion/bash.js'
import { fish } from '../completion/fish.js'
import { zsh } from '../completion/zsh.js'

const SHELLS = { bash, zsh, fish } as const

export function addCompletion(program: Command, runner: Runner): void {
  const command = program
    .command('completion')
    .summary('a script that completes commands and options in a shell')
    .description('Prints a script for bash, zsh or fish.')
    .addArgument(new Argument('<shell>').choices(Object.keys(SHELLS)))
  act(command, runner, {
    example: [
      'source <(slotwise completion bash)                                     # in ~/.bashrc',
      'source <(slotwise completion zsh)                                      # in ~/.zshrc, after compinit',
      'slotwise completion fish > ~/.config/fish/completions/slotwise.fish',
    ].join('\n'),
    work: async (_, [shell = '']) => {
      const script = SHELLS[shell as keyof typeof SHELLS](leavesOf(program))
      return { json: { shell, script }, text: () => script.trimEnd() }
    },
  })
}

/** A command as a shell sees it: the words that lead to it, and what may follow. */
export interface Leaf {
  readonly path: readonly string[]
  readonly about: string
  readonly options: readonly CompletedOption[]
  /** Words that may follow: subcommands, or the choices of the first argument. */
  readonly words: readonly { readonly word: string; readonly about: string }[]
}

export interface CompletedOption {
  readonly flags: readonly string[]
  readonly about: string
  readonly takesValue: boolean
  readonly isFile: boolean
  readonly choices: readonly string[]
}

function leavesOf(command: Command, path: readonly string[] = []): readonly Leaf[] {
  const subcommands = command.commands.map((one) => ({ word: one.name(), about: one.summary() }))
  const choices = command.registeredArguments[0]?.argChoices ?? []
  const leaf: Leaf = {
    path,
    about: command.summary(),
    options: [
      ...command.options.filter(({ hidden }) => !hidden).map(completed),
      { flags: ['--help', '-h'], about: 'display help', takesValue: false, isFile: false, choices: [] },
    ],
    words: [...subcommands, ...choices.map((word) => ({ word, about: '' }))],
  }
  return [leaf, ...command.commands.flatMap((one) => leavesOf(one, [...path, one.name()]))]
}

function completed(option: Option): CompletedOption {
  return {
    flags: [option.long, option.short].flatMap((flag) => flag ?? []),
    about: option.description,
    takesValue: option.required || option.optional,
    isFile: /<(file|folder)>/.test(option.flags),
    choices: option.argChoices ?? [],
  }
}
