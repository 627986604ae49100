import { at, type Finding, type Rule } from './rule.js'

const KNOWN = new Set(
  `KEYS ARGV redis cjson cmsgpack struct bit string math table tonumber tostring ipairs pairs unpack select type
   error pcall next`.split(/\s+/),
)

/** Redis refuses globals at run time; a misspelt name would be found on the one path that has it. */
export const globalRules: Rule = (script) => {
  const findings: Finding[] = []
  for (const name of script.references) {
    if (script.bindingOf(name) !== undefined) continue
    const parent = script.parentOf(name)
    const written =
      (parent?.type === 'AssignmentStatement' && parent.variables.some((variable) => variable === name)) ||
      (parent?.type === 'FunctionDeclaration' && parent.identifier === name)
    if (written) findings.push(at(name, `${name.name} is written without \`local\`: Redis refuses globals`))
    else if (!KNOWN.has(name.name)) findings.push(at(name, `${name.name} is declared nowhere`))
    else if (name.name === 'math' && parent?.type === 'MemberExpression') {
      if (parent.identifier.name.startsWith('random'))
        findings.push(
          at(name, 'math.random gives the same numbers in every run: pass random bytes as an argument'),
        )
    }
  }
  return findings
}
