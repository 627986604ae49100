import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blocksOf, examplesOf } from '../docs/blocks.js'
import { brokenCommands } from '../docs/commands.js'
import { compileErrors } from '../docs/compile.js'
import { anchorsOf, brokenLinks } from '../docs/links.js'
import { drifted } from '../docs/sources.js'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const lines = (...text: string[]) => text.join('\n')

describe('blocks of code', () => {
  it('are found with their language and their first line, in documents', () => {
    const text = lines('# A', '', '```ts', 'const a = 1', '```', '', '  ~~~sh', '  npm test', '  ~~~', '')
    expect(blocksOf('a.md', text)).toEqual([
      { file: 'a.md', line: 4, language: 'ts', code: 'const a = 1\n' },
      { file: 'a.md', line: 8, language: 'sh', code: 'npm test\n' },
    ])
  })

  it('may hold shorter fences', () => {
    const text = lines('````md', '```ts', '1', '```', '````')
    expect(blocksOf('a.md', text)).toEqual([
      { file: 'a.md', line: 2, language: 'md', code: '```ts\n1\n```\n' },
    ])
  })

  it('are found in doc comments, and an example without one is refused', () => {
    const text = lines(
      'const a = 1',
      '/**',
      ' * Does.',
      ' *',
      ' * @example',
      ' * ```ts',
      ' * does()',
      ' * ```',
      ' */',
      'function does() {}',
      '  /** @example other() */',
      'function other() {}',
    )
    expect(examplesOf('a.ts', text)).toEqual({
      blocks: [{ file: 'a.ts', line: 7, language: 'ts', code: 'does()\n' }],
      findings: [{ file: 'a.ts', line: 11, message: expect.stringContaining('must be followed by') }],
    })
  })

  it('must compile: an error is reported where it stands in the document', { timeout: 60_000 }, () => {
    const good = "import { slotOf } from 'slotwise/redis'\nconst slot: number = slotOf('a')\n"
    const bad = "import { slotOf } from 'slotwise/redis'\nconst slot: string = slotOf('a')\n"
    const findings = compileErrors(
      [
        { file: 'good.md', line: 3, language: 'ts', code: good },
        { file: 'bad.md', line: 10, language: 'ts', code: bad },
      ],
      repository,
    )
    expect(findings).toEqual([
      { file: 'bad.md', line: 11, message: expect.stringMatching(/TS2322.*'number' is not assignable/) },
    ])
  })
})

describe('in a repository', () => {
  const root = mkdtempSync(join(tmpdir(), 'docs '))
  beforeAll(() => {
    mkdirSync(join(root, 'apps', 'shop'), { recursive: true })
    mkdirSync(join(root, 'docs'))
    writeFileSync(join(root, 'package.json'), JSON.stringify({ scripts: { test: 'x', build: 'x' } }))
    writeFileSync(
      join(root, 'apps/shop/package.json'),
      JSON.stringify({ name: '@x/shop', scripts: { serve: 'x' } }),
    )
    writeFileSync(join(root, 'docs', 'a b.md'), '# One `two` — three!\n\n## One\n\n## One\n')
  })
  afterAll(() => rmSync(root, { recursive: true }))

  const wrong = (code: string) =>
    brokenCommands({ file: 'a.md', line: 5, language: 'sh', code }, root).map(({ line, message }) => [
      line,
      message,
    ])

  it.each([
    'npm test',
    'npm run build -- --watch',
    'npm run serve -w apps/shop -- DIR --tenant NAME',
    'npm run serve --workspace=@x/shop',
    'npm install && CI=1 npm test | tee log',
    '$ npm run build # npm run nothing',
    'cd /elsewhere; ls',
  ])('the command %s is fine', (command) => {
    expect(wrong(command)).toEqual([])
  })

  it.each([
    ['npm run nothing', 'there is no npm script nothing'],
    ['npm start', 'there is no npm script start'],
    ['npm run build -w apps/shop', 'there is no npm script build'],
    ['npm run serve -w apps/none', 'there is no workspace apps/none'],
    ['npm test && npm run none', 'there is no npm script none'],
    ['node --import tsx scripts/gone.ts', 'there is no file scripts/gone.ts'],
  ])('the command %s is refused', (command, message) => {
    expect(wrong(`ls\n${command}`)).toEqual([[6, message]])
  })

  it('links must lead to files and headings that exist', () => {
    const text = lines(
      '[a](docs/a%20b.md) [b](docs/a%20b.md#one-two--three) [c](https://example.org/none) [d](#here)',
      '# Here',
      '[gone](docs/none.md)',
      '`[code](none.md)`',
      '[no heading](docs/a%20b.md#four) [no such](#there)',
    )
    writeFileSync(join(root, 'README.md'), text)
    expect(brokenLinks(join(root, 'README.md'), text).map(({ line, message }) => [line, message])).toEqual([
      [3, 'docs/none.md leads nowhere'],
      [5, 'docs/a%20b.md#four: there is no such heading'],
      [5, '#there: there is no such heading'],
    ])
  })

  it('a block that says which file it shows must be that file, to the last line', () => {
    writeFileSync(join(root, 'shown.ts'), 'const a = 1\nconst b = 2\n')
    const of = (...code: string[]) =>
      blocksOf('a.md', lines('```ts from=shown.ts', ...code, '```')).flatMap((block) => drifted(block, root))
    expect(of('const a = 1', 'const b = 2')).toEqual([])
    expect(of('const a = 1', 'const b = 3')).toEqual([
      { file: 'a.md', line: 3, message: 'shown.ts:2 is "const b = 2"' },
    ])
    expect(of('const a = 1')).toEqual([{ file: 'a.md', line: 3, message: 'shown.ts:2 is "const b = 2"' }])
    expect(of('const a = 1', 'const b = 2', 'const c = 3')).toEqual([
      { file: 'a.md', line: 4, message: 'shown.ts:3 is ""' },
    ])
    const gone = blocksOf('a.md', lines('```ts from=gone.ts', '```')).flatMap((block) => drifted(block, root))
    expect(gone).toEqual([{ file: 'a.md', line: 2, message: 'there is no file gone.ts to be shown' }])
  })

  it('equal headings are numbered, as they are where the page is shown', () => {
    expect([...anchorsOf('# One\n## One\n```\n# Two\n```\n')]).toEqual(['one', 'one-1'])
  })
})
