import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { readRule } from '../connection/endpoint-map.js'
import { readNodes } from '../connection/nodes.js'
import { Refusal } from '../exit.js'

/** Whether a reader of ours takes a text, as zod asks it. */
const readable = (read: (text: string) => unknown) => (text: string) => {
  try {
    read(text)
    return true
  } catch {
    return false
  }
}

const nonEmpty = z.string().min(1)

const PROFILE = z.strictObject({
  nodes: z
    .array(
      nonEmpty.refine(
        readable((text) => readNodes([text])),
        'must be host:port',
      ),
    )
    .min(1),
  user: nonEmpty.optional(),
  /** Where the password is, never the password. */
  passwordFile: nonEmpty.optional(),
  tls: z.boolean().optional(),
  ca: nonEmpty.optional(),
  cert: nonEmpty.optional(),
  key: nonEmpty.optional(),
  map: z.array(nonEmpty.refine(readable(readRule), 'must be HOST:PORT=HOST:PORT')).optional(),
})

const FILE = z.strictObject({ profiles: z.record(z.string(), PROFILE) })

/** How a cluster is reached, under a name. It holds no password. */
export type Profile = z.infer<typeof PROFILE>
export type Profiles = Readonly<Record<string, Profile>>
type Environment = Readonly<Record<string, string | undefined>>

/** `$XDG_CONFIG_HOME/slotwise/profiles.json`, or below `~/.config`. */
export function profilesFile(env: Environment): string {
  const { XDG_CONFIG_HOME: config, HOME: home } = env
  return join(config || join(home || homedir(), '.config'), 'slotwise', 'profiles.json')
}

/** @throws Refusal the file is there and cannot be used */
export async function readProfiles(env: Environment): Promise<Profiles> {
  const file = profilesFile(env)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw new Refusal(`The profiles in ${file} cannot be read: ${String(error)}.`)
  }
  const parsed = FILE.safeParse(json(text, file))
  if (parsed.success) return parsed.data.profiles
  const [issue] = parsed.error.issues
  const where = issue?.path.join('.') || 'the file'
  throw new Refusal(`The profiles in ${file} are not what they should be: ${where}: ${issue?.message}.`)
}

export async function readProfile(name: string, env: Environment): Promise<Profile> {
  const profiles = await readProfiles(env)
  const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined
  if (found !== undefined) return found
  const names = Object.keys(profiles)
  throw new Refusal(
    `There is no profile ${JSON.stringify(name)}: ${names.length === 0 ? '`slotwise profile add` makes one' : `there are ${names.join(', ')}`}.`,
  )
}

/** Written beside and moved into place: an interruption leaves the former ones. Only this user may read it. */
export async function writeProfiles(profiles: Profiles, env: Environment): Promise<void> {
  const file = profilesFile(env)
  const next = `${file}.${process.pid}`
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeFile(next, `${JSON.stringify({ profiles }, undefined, 2)}\n`, { mode: 0o600 })
    await chmod(next, 0o600)
    await rename(next, file)
  } catch (error) {
    throw new Refusal(`The profiles cannot be written to ${file}: ${String(error)}.`)
  }
}

function json(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Refusal(`The profiles in ${file} are no JSON: ${error instanceof Error ? error.message : ''}.`)
  }
}
