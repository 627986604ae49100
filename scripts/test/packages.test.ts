import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Explained, ensurePackages } from '../packages.mjs'
import { Progress } from '../progress.mjs'

let folder: string
const progress = new Progress(process.stderr)
const ensure = (level: 'run' | 'dev') => ensurePackages(level, { progress, folder })
const has = (name: string) => existsSync(join(folder, 'node_modules', name))

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slotwise test, of packages '))
  for (const name of ['needed', 'tool', 'later']) {
    await mkdir(join(folder, name))
    await writeFile(join(folder, name, 'package.json'), JSON.stringify({ name, version: '1.0.0' }))
  }
  await describePackages({ dependencies: ['needed'], devDependencies: ['tool'] })
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function describePackages(lists: Record<string, readonly string[]>): Promise<void> {
  const named = Object.entries(lists).map(([list, names]) => [
    list,
    Object.fromEntries(names.map((name) => [name, `file:./${name}`])),
  ])
  const own = { name: 'workspace', private: true, ...Object.fromEntries(named) }
  return writeFile(join(folder, 'package.json'), JSON.stringify(own))
}

it('installs what running needs, once', async () => {
  expect(await ensure('run')).toBe(true)
  expect([has('needed'), has('tool')]).toEqual([true, false])
  expect(await ensure('run')).toBe(false)
})

it('adds the tools when they are asked for, and never takes them away again', async () => {
  await ensure('run')
  expect(await ensure('dev')).toBe(true)
  expect([has('needed'), has('tool')]).toEqual([true, true])
  expect(await ensure('run')).toBe(false)
  await describePackages({ dependencies: ['needed', 'later'], devDependencies: ['tool'] })
  expect(await ensure('run')).toBe(true)
  expect([has('needed'), has('later'), has('tool')]).toEqual([true, true, true])
})

it('installs again when packages were taken away behind its back', async () => {
  await ensure('run')
  await rm(join(folder, 'node_modules'), { recursive: true })
  expect(await ensure('run')).toBe(true)
  expect(has('needed')).toBe(true)
})

it('lets several starts at once install once', async () => {
  const installed = await Promise.all([ensure('run'), ensure('run'), ensure('run')])
  expect(installed.filter((did) => did)).toHaveLength(1)
})

it('says in one sentence what npm could not do, and where the rest is', async () => {
  const dependencies = { broken: 'file:./broken.tgz' }
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'workspace', private: true, dependencies }),
  )
  await expect(ensure('run')).rejects.toThrow(Explained)
  await expect(ensure('run')).rejects.toThrow(
    /^npm could not install the packages: .+ All it said is in .+install\.log\.$/,
  )
})
