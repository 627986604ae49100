import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { DumpError, importDump } from '../../src/import/index.js'
import { type Broken, comment, dumpFolder, listXml, SITE, vote } from '../support/dump.js'
import { useService } from '../support/service.js'

const service = useService()

const votes = listXml('Votes', SITE.Votes)
const comments = (more: Record<string, string | number>) =>
  listXml('Comments', [...SITE.Comments, { ...comment(7, 1, 'x'), ...more }])
const raw = (text: string) =>
  `<comments>\n<row Id="1" PostId="1" Score="0" CreationDate="2020-01-01T00:00:00" ${text}</comments>`
const many = gzipSync(
  listXml(
    'Votes',
    Array.from({ length: 20_000 }, (_, id) => vote(id * 7919, id)),
  ),
)
const damaged = Buffer.from(many)
damaged.fill(0xff, many.length / 2, many.length / 2 + 64)

it.each<[string, Broken, RegExp, { gzip?: boolean }?]>([
  ['an empty file', { Votes: '' }, /^Votes\.xml, row 1: is no well-formed XML: .*root/],
  ['something else than XML', { Votes: 'GIF89a' }, /^Votes\.xml, row 1: is no well-formed XML/],
  [
    'another list',
    { Votes: listXml('Posts', []) },
    /^Votes\.xml: is not a list of votes: it begins with <posts>/,
  ],
  [
    'a list that is cut between rows',
    { Votes: votes.slice(0, votes.indexOf('<row Id="3"')) },
    /^Votes\.xml, row 3: is no well-formed XML/,
  ],
  [
    'a list that is cut inside of a row',
    { Votes: votes.slice(0, votes.indexOf('Id="3"') + 4) },
    /^Votes\.xml, row 3: is no well-formed XML/,
  ],
  [
    'a list that goes on behind its end',
    { Votes: `${votes}<votes/>` },
    /^Votes\.xml, row 6: is no well-formed XML/,
  ],
  [
    'a bare ampersand',
    { Comments: raw('UserId="1" Text="a & b" />') },
    /^Comments\.xml, row 1: is no well-formed XML: /,
  ],
  [
    'an entity that nobody defined',
    { Comments: raw('UserId="1" Text="&xxe;" />') },
    /^Comments\.xml, row 1: .*entity/,
  ],
  ['a NUL', { Comments: raw('UserId="1" Text="&#0;" />') }, /^Comments\.xml, row 1: /],
  ['half of a surrogate pair', { Comments: raw('UserId="1" Text="&#xD800;" />') }, /^Comments\.xml, row 1: /],
  [
    'an attribute twice',
    { Comments: raw('Id="2" Text="x" />') },
    /^Comments\.xml, row 1: is no well-formed XML: duplicate attribute/,
  ],
  [
    'a row inside of a row',
    { Comments: raw('Text="x"><row/></row>') },
    /^Comments\.xml, row 1: there is a <row> inside of it/,
  ],
  [
    'something else than rows',
    { Votes: '<votes><vote/></votes>' },
    /^Votes\.xml, row 1: is not a row: <vote>/,
  ],
  [
    'bytes that are not UTF-8',
    { Votes: Buffer.from('<votes><row Id="\xe9"/></votes>', 'latin1') },
    /^Votes\.xml, row 1: is not UTF-8/,
  ],
  ['an id that is missing', { Comments: comments({ Id: '' }) }, /^Comments\.xml, row 7: Id is missing$/],
  [
    'an id that is no number',
    { Comments: comments({ Id: '1;drop' }) },
    /^Comments\.xml, row 7: Id is no number: "1;drop"$/,
  ],
  [
    'an id without an end',
    { Comments: comments({ Id: '9'.repeat(10_000) }) },
    /^Comments\.xml, row 7: Id is no number: "9{40}…"$/,
  ],
  [
    'a score beyond belief',
    { Comments: comments({ Score: '99999999999' }) },
    /^Comments\.xml, row 7: Score is too large/,
  ],
  [
    'a date that there is not',
    { Comments: comments({ CreationDate: '2020-02-30T25:00:00' }) },
    /^Comments\.xml, row 7: CreationDate is no date/,
  ],
  ['a comment without text', { Comments: comments({ Text: '' }) }, /^Comments\.xml, row 7: Text is missing$/],
  [
    'the same id twice',
    { Comments: comments({ Id: '002' }) },
    /^Comments\.xml, row 7: has the Id 2, which row 2 has already$/,
  ],
  [
    'a question without a title',
    { Posts: listXml('Posts', [{ Id: 1, PostTypeId: 1, CreationDate: '2020-01-01T00:00:00' }]) },
    /^Posts\.xml, row 1: Title is missing$/,
  ],
  [
    'an archive that is cut off',
    { Votes: many.subarray(0, many.length / 2) },
    /^Votes\.xml\.gz, row \d{3,}: the compressed file is cut off here$/,
    { gzip: true },
  ],
  ['an archive that is damaged', { Votes: damaged }, /^Votes\.xml\.gz, row \d{3,}: /, { gzip: true }],
  [
    'an archive that is none',
    { Votes: votes },
    /^Votes\.xml\.gz, row 1: the compressed file is damaged/,
    { gzip: true },
  ],
])(
  '%s is refused with its place, and nothing of the dump stays',
  async (what, broken, sentence, options = {}) => {
    const tenant = `broken: ${what}`
    const folder = await dumpFolder(SITE, { ...options, broken })
    const refused = importDump(service.db, folder, { tenant, batchRows: 2 })
    await expect(refused).rejects.toBeInstanceOf(DumpError)
    await expect(refused).rejects.toThrow(sentence)
    for (const table of ['import_rows', 'entities', 'users', 'comments', 'likes']) {
      const { rows } = await service.db.pool.query(`select from ${table} where tenant_id = $1`, [tenant])
      expect([table, rows.length]).toEqual([table, 0])
    }
    const { rows } = await service.db.pool.query('select from tenants where id = $1', [tenant])
    expect(rows).toEqual([])

    // Mended, it comes in.
    const mended = await importDump(service.db, await dumpFolder(SITE), { tenant })
    expect(mended).toMatchObject({ earlier: 'none', comments: 6 })
  },
)
