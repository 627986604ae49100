import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { importDump } from '../../src/import/index.js'
import { dumpFolder, largeSite } from '../support/dump.js'
import { useService } from '../support/service.js'

const NAMES = ['quantumcomputing', 'french-meta', 'conlang-meta'] as const
const service = useService()

/** The folders of three sites: real ones where SLOTWISE_DATA names them, which are no part of the repository. */
function folders(): Promise<readonly string[]> {
  const data = process.env['SLOTWISE_DATA']
  if (data !== undefined) return Promise.resolve(NAMES.map((name) => join(data, 'comments', name)))
  return Promise.all(NAMES.map((name) => dumpFolder(largeSite(500, name), { gzip: true })))
}

/** The rows of a list, read in another way than the importer reads them. */
function rowsOf(folder: string, list: string): readonly Readonly<Record<string, string>>[] {
  const text = gunzipSync(readFileSync(join(folder, `${list}.xml.gz`))).toString()
  return Array.from(text.matchAll(/<row ([^>]*)\/>/g), ([, attributes = '']) =>
    Object.fromEntries(
      Array.from(attributes.matchAll(/(\w+)="([^"]*)"/g), ([, name = '', value = '']) => [name, value]),
    ),
  )
}

it('three sites come in whole, each as a tenant, and ids that they share stay apart', async () => {
  for (const [index, folder] of (await folders()).entries()) {
    const posts = rowsOf(folder, 'Posts')
    const questions = new Set(posts.filter((row) => row['PostTypeId'] === '1').map((row) => row['Id']))
    const answers = posts.filter((row) => row['PostTypeId'] === '2' && questions.has(row['ParentId']))
    const answerIds = new Set(answers.map((row) => row['Id']))
    const comments = rowsOf(folder, 'Comments').filter(
      (row) => questions.has(row['PostId']) || answerIds.has(row['PostId']),
    )
    const votes = rowsOf(folder, 'Votes').filter(
      (row) => row['VoteTypeId'] === '2' && answerIds.has(row['PostId']),
    )
    const scores = comments.reduce((sum, row) => sum + Number(row['Score']), 0)
    expect(await importDump(service.db, folder, { tenant: NAMES[index] ?? '' })).toMatchObject({
      entities: questions.size,
      comments: answers.length + comments.length,
      likes: votes.length + scores,
    })
  }
  const { rows: shared } = await service.db.pool.query(
    `select id, count(distinct tenant_id)::int as tenants, count(distinct content)::int as texts
     from comments group by id having count(*) = 3`,
  )
  expect(shared.length).toBeGreaterThan(100)
  expect(shared.filter(({ tenants, texts }) => tenants !== 3 || texts < 2)).toEqual([])
  const { rows: marked } = await service.db.pool.query(
    `select id from comments where id like 'a%' and content ~ '<(p|a|ul|li|strong|em)[ >]'`,
  )
  expect(marked.length).toBeLessThan(20)
})
