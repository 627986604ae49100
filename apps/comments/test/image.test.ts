import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { environmentFor, makeDatabase } from './support/service.js'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

interface Instruction {
  readonly name: string
  readonly rest: string
}

interface Stage {
  readonly alias: string
  readonly instructions: readonly Instruction[]
}

let stages: readonly Stage[] = []
let scratch = ''
let drop = async () => {}
let databaseUrl = ''

beforeAll(async () => {
  stages = parsed(await readFile(join(ROOT, 'apps/comments/Dockerfile'), 'utf8'))
  scratch = await mkdtemp(join(tmpdir(), 'comments image '))
  const database = await makeDatabase()
  drop = database.drop
  databaseUrl = database.url
})
afterAll(async () => {
  await drop()
  await rm(scratch, { recursive: true, force: true })
})

function parsed(text: string): readonly Stage[] {
  const found: { alias: string; instructions: Instruction[] }[] = []
  for (const line of text.split('\n')) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (name === 'FROM') found.push({ alias: / AS (\w+)$/.exec(rest)?.[1] ?? 'final', instructions: [] })
    else if (name !== '') found.at(-1)?.instructions.push({ name, rest })
  }
  return found
}

const all = (stage: Stage | undefined, name: string) =>
  stage?.instructions.filter((one) => one.name === name).map(({ rest }) => rest) ?? []
const final = () => stages.at(-1)

/** Does what a stage does, but for `npm install`: the packages installed here are linked instead. */
async function build(stage: Stage): Promise<void> {
  const place = join(scratch, stage.alias)
  await mkdir(place)
  for (const { name, rest } of stage.instructions) {
    if (name === 'COPY') await copy(place, rest)
    else if (name === 'RUN' && rest.startsWith('npm install')) await linkPackages(place)
    else if (name === 'RUN') await run('sh', ['-c', rest], { cwd: place })
  }
}

async function copy(place: string, rest: string): Promise<void> {
  const words = rest.split(/\s+/)
  const from = /^--from=(\w+)$/.exec(words[0] ?? '')?.[1]
  const paths = from === undefined ? words : words.slice(1)
  const target = paths.at(-1) ?? ''
  for (const path of paths.slice(0, -1)) {
    const source =
      from === undefined ? join(ROOT, path) : resolve(scratch, from, path.replace(/^\/app\/?/, ''))
    const into =
      target.endsWith('/') && from === undefined
        ? join(place, target, path.split('/').at(-1) ?? '')
        : join(place, target)
    await mkdir(dirname(into), { recursive: true })
    // As .dockerignore says; what a stage has built is copied whole.
    const filter = (file: string) => from !== undefined || !/\/(?:node_modules|dist|test)$/.test(file)
    await cp(source, into, { recursive: true, verbatimSymlinks: true, filter })
  }
}

async function linkPackages(place: string): Promise<void> {
  const packages = join(ROOT, 'node_modules')
  await mkdir(join(place, 'node_modules'))
  for (const name of await readdir(packages)) {
    if (name !== 'slotwise') await symlink(join(packages, name), join(place, 'node_modules', name))
  }
  await symlink('../packages/slotwise', join(place, 'node_modules', 'slotwise'))
  // What a package has in another version than the rest.
  for (const name of await readdir(join(place, 'packages'))) {
    const own = join(ROOT, 'packages', name, 'node_modules')
    if (existsSync(own)) await symlink(own, join(place, 'packages', name, 'node_modules'))
  }
}

describe('the image', () => {
  it('runs as nobody special, without packages of developers, and is asked whether it lives', () => {
    expect(stages.map(({ alias }) => alias)).toEqual(['build', 'packages', 'final'])
    expect(all(final(), 'USER')).toEqual(['node'])
    expect(all(final(), 'RUN')).toEqual([])
    expect(all(final(), 'HEALTHCHECK')).toHaveLength(1)
    expect(all(stages[1], 'RUN')).toEqual([expect.stringContaining('--omit=dev')])
    expect(all(final(), 'COPY')[0]).toBe('--from=packages /app ./')
  })

  it('needs nothing at run time but what package.json calls a dependency', async () => {
    const dependencies = new Set<string>()
    const manifest = JSON.parse(await readFile(join(ROOT, 'apps/comments/package.json'), 'utf8'))
    for (const name of Object.keys(manifest.dependencies)) dependencies.add(name)
    const src = join(ROOT, 'apps/comments/src')
    for (const file of await readdir(src, { recursive: true })) {
      if (!file.endsWith('.ts')) continue
      const text = await readFile(join(src, file), 'utf8')
      for (const [, target = ''] of text.matchAll(
        /^(?:import|export)\s(?!type)(?:[^'"`;]*?\sfrom\s*)?['"]([^'".][^'"\n]*)['"]/gm,
      )) {
        if (target.startsWith('node:')) continue
        const name = target.split('/', target.startsWith('@') ? 2 : 1).join('/')
        expect([file, dependencies.has(name) ? 'has' : `lacks ${name}`]).toEqual([file, 'has'])
      }
    }
  })

  it('starts from what its build leaves, answers its own health check, and stops in order', async () => {
    for (const stage of stages) await build(stage)
    const cwd = join(scratch, 'final')
    const settings = Object.fromEntries(
      all(final(), 'ENV').flatMap((rest) => rest.split(' ').map((pair) => pair.split('='))),
    )
    const environment = {
      ...process.env,
      ...settings,
      ...environmentFor(databaseUrl),
      HOST: '127.0.0.1',
      LOG_LEVEL: 'info',
    }
    // What makes and watches the clusters of deploy/ is in it.
    const { stdout } = await run('node', ['packages/cli/dist/main.js', '--version'], { cwd })
    expect(stdout).toMatch(/^\d+\.\d+\.\d+/)
    const [command = '', ...args] = JSON.parse(all(final(), 'CMD')[0] ?? '[]') as string[]
    const child = spawn(command, args, {
      cwd,
      env: { ...environment, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    let port = ''
    for await (const line of createInterface({ input: child.stdout })) {
      port = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? ''
      if (port !== '') break
    }
    child.stdout.resume()
    const check = /CMD (\[.*\])$/.exec(all(final(), 'HEALTHCHECK')[0] ?? '')?.[1] ?? '[]'
    const [asker = '', ...question] = JSON.parse(check) as string[]
    await run(asker, question, { env: { ...process.env, PORT: port } })
    await expect(run(asker, question, { env: { ...process.env, PORT: '1' } })).rejects.toThrow(/failed/i)
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    // It builds all of it, on a machine that may be busy.
  }, 240_000)
})
