import { at, type Finding, given, literalIndex, type Rule, type Subject } from './rule.js'

/** Every `@key` and `@arg` of the header is used, and nothing else is. */
export const contractRules: Rule = (script) => {
  const { keys, args } = script.header
  const variadic = args.at(-1)?.endsWith('...') === true
  return [
    ...table(script, 'KEYS', '@key', keys, false),
    ...table(script, 'ARGV', '@arg', variadic ? args.slice(0, -1) : args, variadic),
  ]
}

function table(
  script: Subject,
  name: 'KEYS' | 'ARGV',
  tag: string,
  declared: readonly string[],
  variadic: boolean,
): Finding[] {
  const findings: Finding[] = []
  const used = new Set<number>()
  let loose = false
  for (const reference of script.references) {
    if (given(script, reference) !== name) continue
    const parent = script.parentOf(reference)
    const index = parent?.type === 'IndexExpression' && parent.base === reference ? parent.index : undefined
    const n = index && literalIndex(index)
    if (n === undefined) {
      loose = true
      if (!variadic) {
        findings.push(
          at(
            reference,
            name === 'ARGV'
              ? 'ARGV as a whole or at a computed place needs a last `@arg name...`'
              : 'KEYS as a whole or at a computed place hides which keys a script touches: name each one',
          ),
        )
      }
    } else if (n < 1 || n > declared.length) {
      findings.push(at(reference, `${name}[${n}] is not in the header, which has ${declared.length} ${tag}`))
    } else {
      used.add(n)
    }
  }
  declared.forEach((what, i) => {
    if (!used.has(i + 1))
      findings.push({ line: 1, message: `${tag} ${what} is never read as ${name}[${i + 1}]` })
  })
  if (variadic && !loose) findings.push({ line: 1, message: `${script.header.args.at(-1)} is never read` })
  return findings
}
