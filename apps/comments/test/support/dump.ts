import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { onTestFinished } from 'vitest'

type Row = Readonly<Record<string, string | number>>

/** The rows of a dump's four lists. */
export interface Lists {
  readonly Users: readonly Row[]
  readonly Posts: readonly Row[]
  readonly Comments: readonly Row[]
  readonly Votes: readonly Row[]
}

const DAY = '2020-02-29T12:00:00.000'

const user = (id: number, name: string): Row => ({ Id: id, DisplayName: name })
const question = (id: number, title: string, more: Row = {}): Row => ({
  Id: id,
  PostTypeId: 1,
  CreationDate: DAY,
  Title: title,
  Body: '<p>asked</p>',
  OwnerUserId: 1,
  ...more,
})
export const answer = (id: number, to: number, body: string, more: Row = {}): Row => ({
  Id: id,
  PostTypeId: 2,
  ParentId: to,
  CreationDate: DAY,
  Body: body,
  OwnerUserId: 1,
  ...more,
})
export const comment = (id: number, on: number, text: string, more: Row = {}): Row => ({
  Id: id,
  PostId: on,
  Score: 0,
  Text: text,
  CreationDate: DAY,
  UserId: 1,
  ...more,
})
export const vote = (id: number, on: number, type = 2): Row => ({
  Id: id,
  PostId: on,
  VoteTypeId: type,
  CreationDate: '2020-02-29T00:00:00.000',
})

/** A site that has one of everything. */
export const SITE: Lists = {
  Users: [user(-1, 'Community'), user(1, 'Ann'), user(2, 'Ben & "Bo" <b>')],
  Posts: [
    question(1, 'What is a slot?', { ViewCount: 321 }),
    answer(2, 1, '<p>One of <em>16,384</em>.</p>\n<ul><li>a</li><li>b &amp; c</li></ul>', {
      LastEditDate: '2020-03-01T01:02:03.450',
    }),
    question(3, 'Ça va? 東京 🙂', { OwnerUserId: 2 }),
    { ...question(4, ''), PostTypeId: 5 },
  ],
  Comments: [
    comment(1, 1, 'on the question'),
    comment(2, 2, 'on the answer', { UserId: 2, Score: 3 }),
    { ...comment(3, 3, 'by nobody'), UserId: '' },
    { ...comment(4, 3, 'by one who left'), UserId: '', UserDisplayName: 'Cleo' },
    comment(5, 3, 'by one who is not listed', { UserId: 77 }),
    comment(6, 999, 'on nothing'),
  ],
  Votes: [vote(1, 2), vote(2, 2), vote(3, 2, 3), vote(4, 1), vote(5, 888)],
}

const escaped = (text: string) =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\n', '&#xA;')

/** A list as the sites publish it. */
export function listXml(name: string, rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const attributes = Object.entries(row).filter(([, value]) => value !== '')
    return `  <row ${attributes.map(([key, value]) => `${key}="${escaped(String(value))}"`).join(' ')} />\n`
  })
  const root = name.toLowerCase()
  return `\uFEFF<?xml version="1.0" encoding="utf-8"?>\n<${root}>\n${lines.join('')}</${root}>`
}

/** What is written instead of a list as it should be, by its name. */
export type Broken = Readonly<Partial<Record<keyof Lists, string | Buffer>>>

/** A folder with a dump, until the test is over. */
export async function dumpFolder(
  lists: Lists,
  { gzip = false, broken = {} }: { readonly gzip?: boolean; readonly broken?: Broken } = {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dump of a site '))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeDump(folder, lists, { gzip, broken })
  return folder
}

export async function writeDump(
  folder: string,
  lists: Lists,
  { gzip = false, broken = {} }: { readonly gzip?: boolean; readonly broken?: Broken } = {},
): Promise<void> {
  for (const name of ['Users', 'Posts', 'Comments', 'Votes'] as const) {
    const plain = listXml(name, lists[name])
    const content = broken[name] ?? (gzip ? gzipSync(plain) : plain)
    await writeFile(join(folder, `${name}.xml${gzip ? '.gz' : ''}`), content)
  }
}

/** A site of some size: `count` comments over a few threads, each with likes. Sites share their ids. */
export function largeSite(count: number, name = 'Site'): Lists {
  const numbers = Array.from({ length: count }, (_, index) => index + 1)
  return {
    Users: numbers.slice(0, 50).map((id) => user(id, `User ${id}`)),
    Posts: [
      ...numbers.slice(0, 10).map((id) => question(id, `Thread ${id}`)),
      ...numbers.slice(0, 50).map((id) => answer(100 + id, 1 + (id % 10), `<p>Answer ${id} of ${name}</p>`)),
    ],
    Comments: numbers.map((id) =>
      comment(id, 101 + (id % 50), `Comment ${id} of ${name}`, { UserId: 1 + (id % 50) }),
    ),
    Votes: numbers.map((id) => vote(id, 101 + (id % 50))),
  }
}
