import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { act, type Runner } from '../action.js'
import { endpointMap } from '../connection/endpoint-map.js'
import { readNodes } from '../connection/nodes.js'
import { type ConnectionFlags, several } from '../connection/options.js'
import { Refusal } from '../exit.js'
import { table } from '../output/table.js'
import type { Profile } from '../profiles/store.js'

/** Loaded by who needs it: what checks profiles is the slowest part of starting. */
const store = () => import('../profiles/store.js')

type ProfileFlags = Omit<ConnectionFlags, 'profile' | 'timeout' | 'askPassword'>

export function addProfile(program: Command, runner: Runner): void {
  const profile = program
    .command('profile')
    .summary('keep how a cluster is reached, under a name')
    .description('Keeps nodes, user, files of TLS, map and the place of the password file. Never a password.')
    .addHelpText(
      'after',
      '\nExample:\n  slotwise profile add staging 10.0.0.1:6379 --user ops --password-file ~/ops.secret',
    )
  addList(profile, runner)
  addShow(profile, runner)
  addAdd(profile, runner)
  addRemove(profile, runner)
}

function addList(parent: Command, runner: Runner): void {
  const command = parent.command('list').summary('all profiles').description('Lists all profiles.')
  act(command, runner, {
    example: 'slotwise profile list',
    work: async ({ env }) => {
      const { profilesFile, readProfiles } = await store()
      const profiles = Object.entries(await readProfiles(env)).toSorted(([a], [b]) => (a < b ? -1 : 1))
      const rows = profiles.map(([name, { nodes, user, tls, ca }]) => [
        name,
        nodes.join(','),
        user ?? '',
        tls === true || ca !== undefined ? 'yes' : '',
      ])
      const columns = [{ title: 'PROFILE' }, { title: 'NODES' }, { title: 'USER' }, { title: 'TLS' }]
      return {
        json: { file: profilesFile(env), profiles: Object.fromEntries(profiles) },
        text: () =>
          rows.length === 0
            ? 'There are no profiles; `slotwise profile add` makes one.'
            : table(columns, rows),
      }
    },
  })
}

function addShow(parent: Command, runner: Runner): void {
  const command = parent
    .command('show')
    .summary('one profile')
    .description('Shows one profile.')
    .argument('<name>')
  act(command, runner, {
    example: 'slotwise profile show staging',
    work: async ({ env }, [name = '']) => {
      const { readProfile } = await store()
      const profile = await readProfile(name, env)
      return { json: { name, profile }, text: () => describe(profile) }
    },
  })
}

function addAdd(parent: Command, runner: Runner): void {
  const command = parent
    .command('add')
    .summary('make a profile, or replace one')
    .description('Keeps how a cluster is reached. Paths are kept in full. One of the same name is replaced.')
    .argument('<name>')
    .argument('[nodes...]', 'any nodes of the cluster')
    .addOption(new Option('-n, --nodes <host:port,...>', 'the same; repeatable').argParser(several))
    .option('--user <name>', 'the user to log in as')
    .option('--password-file <file>', 'the file that holds the password; only its place is kept')
    .option('--tls', "TLS, with the system's authorities")
    .option('--ca <file>', 'TLS, with the authority in this file')
    .option('--cert <file>', 'our own certificate, where servers ask for one')
    .option('--key <file>', 'and its key')
    .addOption(new Option('--map <from=to>', 'where a node is reached; repeatable').argParser(several))
  act<ProfileFlags>(command, runner, {
    example:
      "slotwise profile add compose 127.0.0.1:7000 --user ops --password-file ops.secret --map '*=127.0.0.1'",
    work: async ({ env }, [name = '', ...nodes], flags) => {
      const { readProfiles, writeProfiles } = await store()
      if (!/^[\w.-]{1,64}$/.test(name)) {
        throw new Refusal(
          'The name of a profile is made of letters, digits, dots, dashes and underscores, 64 at most.',
        )
      }
      const profile = profileOf(flags, nodes)
      const before = await readProfiles(env)
      await writeProfiles({ ...before, [name]: profile }, env)
      const isNew = !Object.hasOwn(before, name)
      return {
        json: { name, profile, replaced: !isNew },
        text: () => `The profile ${name} is ${isNew ? 'kept' : 'replaced'}: slotwise info --profile ${name}`,
      }
    },
  })
}

function addRemove(parent: Command, runner: Runner): void {
  const command = parent
    .command('remove')
    .summary('forget a profile')
    .description('Forgets a profile.')
    .argument('<name>')
  act(command, runner, {
    example: 'slotwise profile remove staging',
    work: async ({ env }, [name = '']) => {
      const { readProfile, readProfiles, writeProfiles } = await store()
      await readProfile(name, env)
      const { [name]: removed, ...rest } = await readProfiles(env)
      await writeProfiles(rest, env)
      return { json: { name, profile: removed }, text: () => `The profile ${name} is forgotten.` }
    },
  })
}

function profileOf(flags: ProfileFlags, positional: readonly string[]): Profile {
  const list = readNodes([...positional, ...(flags.nodes ?? [])])
  if (list.nodes.length === 0)
    throw new Refusal('A profile needs a node: slotwise profile add NAME 10.0.0.1:6379')
  if ((flags.cert === undefined) !== (flags.key === undefined)) {
    throw new Refusal('--cert and --key belong together: give both.')
  }
  endpointMap(flags.map ?? [])
  const user = flags.user ?? list.user
  const files = Object.entries({
    passwordFile: flags.passwordFile,
    ca: flags.ca,
    cert: flags.cert,
    key: flags.key,
  })
  return {
    nodes: [...list.nodes],
    ...(user === undefined ? {} : { user }),
    ...(flags.tls === true || list.tls === true ? { tls: true } : {}),
    ...(flags.map === undefined ? {} : { map: [...flags.map] }),
    ...Object.fromEntries(
      files.flatMap(([name, file]) => (file === undefined ? [] : [[name, resolve(file)]])),
    ),
  }
}

function describe(profile: Profile): string {
  const names = {
    nodes: 'nodes',
    user: 'user',
    passwordFile: 'password file',
    tls: 'TLS',
    ca: 'authority',
    cert: 'certificate',
    key: 'key',
    map: 'map',
  } as const
  return Object.entries(names)
    .flatMap(([field, title]) => {
      const value = profile[field as keyof Profile]
      if (value === undefined) return []
      const text = Array.isArray(value) ? value.join(', ') : value === true ? 'yes' : String(value)
      return [`${title.padEnd(13)}  ${text}`]
    })
    .join('\n')
}
