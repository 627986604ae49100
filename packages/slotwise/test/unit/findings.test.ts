import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { FINDINGS, type FindingId } from '../../src/cluster/doctor/catalogue.js'
import { found, judged, USAGES } from '../../src/cluster/doctor/finding.js'

const repository = fileURLToPath(new URL('../../../../', import.meta.url))
const ids = Object.keys(FINDINGS) as FindingId[]

/**
 * What one machine cannot cause, so that servers are made to tell of it: other hosts, versions and clocks, little memory,
 * huge pages, slow forks, counters of Redis 7.2.
 */
const SCRIPTED = [
  'version-skew',
  'majority-on-one-host',
  'replica-beside-primary',
  'memory-unbounded',
  'fork-slow',
  'fork-too-large',
  'huge-pages',
  'output-buffers-cut',
  'clock-skew',
]

/** The findings that `cycle` of these tests takes all the way: they say what is done about them. */
function cycles(isMeant: (file: string) => boolean): ReadonlySet<string> {
  const folders = ['packages/slotwise/test/faults', 'packages/slotwise/test/cluster/cluster']
  const texts = folders.flatMap((folder) =>
    readdirSync(join(repository, folder))
      .filter((file) => file.startsWith('doctor') && isMeant(file))
      .map((file) => readFileSync(join(repository, folder, file), 'utf8')),
  )
  // Their tests use ids as names of properties for remedies only.
  const named = (id: string) => new RegExp(`'${id}':\\s|[{,]\\s*${id}: `)
  return new Set(ids.filter((id) => texts.some((text) => named(id).test(text))))
}

/** The table of docs/patterns/cluster.md. */
function table(): string {
  const rows = ids.map((id) => {
    const { severity, means, fix } = FINDINGS[id]
    const levels =
      typeof severity === 'string'
        ? severity
        : Object.entries(severity)
            .map(([usage, level]) => `${usage}: ${level}`)
            .join(', ')
    return `| \`${id}\` | ${levels} | ${means} | ${fix} |`
  })
  return ['| id | severity | what it means | fix |', '|---|---|---|---|', ...rows].join('\n')
}

describe('the table of findings', () => {
  it('in the documentation is what the code says', () => {
    const page = readFileSync(join(repository, 'docs/patterns/cluster.md'), 'utf8')
    const begin = page.indexOf('| id | severity |')
    expect(page.slice(begin, page.indexOf('\n\n', begin))).toBe(table())
  })

  it('is lived through by tests, each of its findings: not there, caused, seen, gone once its fix was applied', () => {
    const scripted = cycles((file) => file === 'doctor-told.test.ts')
    const real = cycles((file) => file !== 'doctor-told.test.ts')
    expect(ids.filter((id) => !real.has(id) && !scripted.has(id))).toEqual([])
    expect(ids.filter((id) => !real.has(id))).toEqual(SCRIPTED)
  })

  it('has its blanks in backquotes, and nothing that would break a table', () => {
    for (const id of ids) {
      const { means, fix }: { readonly means: string; readonly fix: string } = FINDINGS[id]
      expect(`${means}${fix}`).not.toMatch(/[|\n]/)
      const outside = fix.split('`').filter((_, part) => part % 2 === 0)
      expect(outside.join('')).not.toMatch(/[<>]/)
      expect(fix).toMatch(/^[A-Z].*\.$/)
    }
  })
})

describe('what was found', () => {
  it('is judged by the usages asked for: the worst of them counts, and who is not affected does not hear of it', () => {
    const evicts = found('policy-evicts', 'a:1', 'evidence')
    expect(judged([evicts], ['cache'])).toEqual([])
    expect(judged([evicts], ['cache', 'locks'])).toMatchObject([{ severity: 'critical', affects: ['locks'] }])
    const gap = found('slots-unserved', undefined, 'evidence')
    expect(judged([gap], ['cache'])).toMatchObject([{ severity: 'warning', affects: ['cache'] }])
    expect(judged([gap], USAGES)).toMatchObject([{ severity: 'critical', affects: USAGES }])
    expect(judged([gap], ['locks'])[0]).not.toHaveProperty('node')
  })

  it('comes the worst first, and otherwise in the order of the checks', () => {
    const all = [
      found('primary-idle', 'a:1', ''),
      found('slot-open', 'b:1', '', { slot: 1 }),
      found('open-to-all', 'c:1', ''),
      found('slot-open', 'd:1', '', { slot: 2 }),
    ]
    expect(judged(all, USAGES).map(({ node }) => node)).toEqual(['c:1', 'b:1', 'd:1', 'a:1'])
  })

  it('has the blanks of its fix filled in', () => {
    const [finding] = judged([found('slot-disputed', 'a:1', '', { slot: 93, owner: 'f00' })], USAGES)
    expect(finding?.fix).toContain('`CLUSTER SETSLOT 93 NODE f00`')
  })
})
