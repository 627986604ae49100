import type { Command } from 'commander'
import { type KeyWords, readKey, slotOf, type Topology } from 'slotwise/redis'
import { act, type Runner } from '../action.js'
import { perhapsConnection, withPort } from '../connection/connection.js'
import { type ConnectionFlags, withConnection } from '../connection/options.js'
import { EXIT } from '../exit.js'
import { harmless, table } from '../output/table.js'
import type { Terminal } from '../terminal.js'
import { placed } from './operation.js'

/** Where a key lives: its slot, what of it decided that, and, where a cluster was asked, the primary that has the slot. */
interface Place {
  readonly key: string
  readonly slot: number
  /** What is between the first braces; `null` where all of the key counts. */
  readonly hashTag: string | null
  /** `null` when nobody serves the slot; absent when no cluster was asked. */
  readonly owner?: string | null
}

export function addKeys(program: Command, runner: Runner): void {
  const slot = program
    .command('slot')
    .summary('the slot of a key, without a cluster')
    .description('Computes the slot of keys. With nodes, from wherever, it also asks who owns it.')
    .argument('<keys...>', 'keys as they are')
  act<ConnectionFlags>(withConnection(slot), runner, {
    example: "slotwise slot 'user:{42}:name' 'user:{42}:mail'",
    work: async (terminal, keys, flags) => {
      const places = await placesOf(keys, flags, terminal)
      return { json: { keys: places }, text: () => placeTable(places) }
    },
  })

  const describing = program
    .command('keys')
    .summary('whose a key of slotwise is, and of which thing')
    .description(
      'Takes keys apart: namespace, pattern, name of the instance, tenant and id. Ends with 1 if one is no key of slotwise. Of what is longer than 128 characters a key holds only a hash.',
    )
    .argument('<keys...>', 'keys as they are')
  act<ConnectionFlags>(withConnection(describing), runner, {
    example: "slotwise keys 'shop:cache:comments:{@acme:c:42}'",
    work: async (terminal, keys, flags) => {
      const places = await placesOf(keys, flags, terminal)
      const told = places.map((place) => ({ ...place, read: readKey(place.key) ?? null }))
      return {
        json: { keys: told },
        text: () => told.map(describe).join('\n\n'),
        exitCode: told.some(({ read }) => read === null) ? EXIT.finding : EXIT.ok,
      }
    },
  })
}

async function placesOf(
  keys: readonly string[],
  flags: ConnectionFlags,
  terminal: Terminal,
): Promise<readonly Place[]> {
  const connection = await perhapsConnection(flags, [], terminal)
  const owners =
    connection &&
    (await withPort(connection, terminal, async (port) => {
      const topology: Topology = port.topology()
      return keys.map((key) => topology.ownerOf(slotOf(key)))
    }))
  return keys.map((key, i) => {
    const owner = owners?.[i]
    return {
      key,
      slot: slotOf(key),
      hashTag: hashTagOf(key),
      ...(owners === undefined ? {} : { owner: owner === undefined ? null : placed(owner) }),
    }
  })
}

/** An empty tag is none: all of the key counts then. */
export function hashTagOf(key: string): string | null {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  return close > open + 1 ? key.slice(open + 1, close) : null
}

function placeTable(places: readonly Place[]): string {
  const hasOwners = places.some(({ owner }) => owner !== undefined)
  const columns = [
    { title: 'SLOT', align: 'right' } as const,
    { title: 'HASH TAG' },
    ...(hasOwners ? [{ title: 'OWNER' }] : []),
    { title: 'KEY' },
  ]
  return table(
    columns,
    places.map(({ key, slot, hashTag, owner }) => [
      String(slot),
      hashTag === null ? '-' : harmless(hashTag),
      ...(hasOwners ? [owner ?? 'nobody'] : []),
      harmless(key),
    ]),
  )
}

function describe({
  key,
  slot,
  hashTag,
  owner,
  read,
}: Place & { readonly read: ReturnType<typeof readKey> | null }): string {
  const rows =
    read === null || read === undefined
      ? [
          ['', 'no key of slotwise'],
          ['hash tag', hashTag === null ? 'none' : harmless(hashTag)],
        ]
      : [
          ['namespace', read.namespace === '' ? 'none' : read.namespace],
          ['pattern', read.pattern],
          ['instance', read.name],
          ['tenant', read.tenant === undefined ? 'none' : wordsOf(read.tenant, (tenant) => [tenant])],
          ['id', wordsOf(read.id, (parts) => parts)],
          ...(read.within === undefined ? [] : [['slot of', wordsOf(read.within, (parts) => parts)]]),
        ]
  const owned = owner === undefined ? [] : [['owner', owner ?? 'nobody']]
  const lines = [...rows, ['slot', String(slot)], ...owned].filter(([name]) => name !== '')
  const head = read === null || read === undefined ? `${harmless(key)}\n  no key of slotwise` : harmless(key)
  return `${head}\n${lines.map(([name = '', value = '']) => `  ${name.padEnd(9)}  ${value}`).join('\n')}`
}

/** Parts in quotes, so that blanks and empty ones show. */
function wordsOf<Words>(words: KeyWords<Words>, parts: (words: Words) => readonly string[]): string {
  if (words.hashed) return `too long for a key, which holds its SHA-256 only: ${words.sha256}`
  return parts(words.words)
    .map((part) => JSON.stringify(part))
    .join(' ')
}
