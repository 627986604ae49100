import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, inject, it } from 'vitest'
import { slotwise } from '../support/slotwise.js'

const repository = fileURLToPath(new URL('../../../../', import.meta.url))
const has = (program: string) => spawnSync(program, ['-c', 'true']).status === 0

/** What bash would offer, with the cursor behind the last word. */
function offered(script: string, words: readonly string[]): readonly string[] {
  const code = `${script}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length - 1}
_slotwise
printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', code], { encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout.split('\n').filter((word) => word !== '')
}

it('bash completes commands, subcommands, options and the choices of an option', async () => {
  const { code, stdout: script } = await slotwise(['completion', 'bash'])
  expect(code).toBe(0)
  if (!has('bash')) return expect(script).toContain('complete -F _slotwise slotwise')
  expect(offered(script, ['slotwise', 'mo'])).toEqual(['move-slots'])
  expect(offered(script, ['slotwise', 'profile', ''])).toEqual(
    expect.arrayContaining(['list', 'show', 'add', 'remove']),
  )
  expect(offered(script, ['slotwise', 'writebehind', 'dead-letters', 'dis'])).toEqual(['discard'])
  expect(offered(script, ['slotwise', 'writebehind', 'partitions', 'posts', '--t'])).toContain('--to')
  expect(offered(script, ['slotwise', 'info', '--pass'])).toEqual(['--password-file'])
  expect(offered(script, ['slotwise', 'doctor', '--fail-on', ''])).toEqual([
    'info',
    'warning',
    'critical',
    'never',
  ])
  expect(offered(script, ['slotwise', 'completion', 'z'])).toEqual(['zsh'])
  expect(offered(script, ['slotwise', 'info', '--ca', `${repository}LIC`])).toEqual([`${repository}LICENSE`])
  const folder = mkdtempSync(join(tmpdir(), 'slotwise completion '))
  try {
    for (const name of ['ca one.pem', 'ca *.pem']) writeFileSync(join(folder, name), '')
    expect(offered(script, ['slotwise', 'info', '--ca', join(folder, 'ca')]).toSorted()).toEqual(
      [join(folder, 'ca *.pem'), join(folder, 'ca one.pem')].toSorted(),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

it.each(['zsh', 'fish'])('%s reads its script, where there is one to read it', async (shell) => {
  const { code, stdout: script } = await slotwise(['completion', shell])
  expect(code).toBe(0)
  for (const word of ['move-slots', 'password-file', 'profile', 'remove']) expect(script).toContain(word)
  if (has(shell))
    expect(spawnSync(shell, ['-n', '/dev/stdin'], { input: script, encoding: 'utf8' }).stderr).toBe('')
})

it('a password is not shown while it is typed at a terminal', async () => {
  const [node = ''] = inject('cliNodes')
  // Without a pseudo-terminal there is no terminal to test.
  if (!existsSync('/usr/bin/script')) return expect(process.platform).not.toBe('win32')
  const command = `'${process.execPath}' '${inject('slotwiseCommand')}' health ${node} --user ops --ask-password`
  const { status, stdout } = spawnSync('/usr/bin/script', ['-qec', command, '/dev/null'], {
    input: `${inject('cliPassword')}x\b\n`.replace('\b', '\u007F'),
    encoding: 'utf8',
  })
  expect(stdout).toContain('Password: ')
  expect(stdout).toContain('16,384 of 16,384 slots served')
  expect(status).toBe(0)
})

it('runs from a clone by npm, with the files of where the user is', () => {
  const { status, stdout } = spawnSync(
    'npm',
    ['run', '--silent', 'slotwise', '--', 'slot', 'foo', '--json'],
    {
      cwd: repository,
      encoding: 'utf8',
    },
  )
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ keys: [{ slot: 12_182 }] })
})
