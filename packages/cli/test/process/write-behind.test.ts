import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Row, WriteBehind } from '../../../slotwise/src/writebehind/index.js'
import { useOpsPort } from '../support/ops-port.js'
import { asOps, json, slotwise, start } from '../support/slotwise.js'

const env = asOps()
const { namespace, port } = useOpsPort()

let name = ''
let rows: Map<string, string>
let refused: Set<string>
let writes: WriteBehind<string>
const opened = (partitions: number) =>
  new WriteBehind<string>(port(), {
    name,
    partitions,
    flushIntervalMs: 5,
    leaseMs: 1000,
    idempotencyWindowMs: 1,
    writeBatch: {
      claim: async () => undefined,
      write: (batch: readonly Row<string>[]) => {
        const bad = batch.find(({ id }) => refused.has(JSON.stringify(id)))
        if (bad !== undefined) return Promise.reject(new RangeError('does not fit'))
        for (const row of batch) rows.set(JSON.stringify(row.id), row.deleted ? '' : row.value)
        return Promise.resolve()
      },
      isAboutRow: (error) => error instanceof RangeError,
    },
  })
beforeEach(() => {
  name = `posts-${randomUUID().slice(0, 8)}`
  rows = new Map()
  refused = new Set()
  writes = opened(4)
})
afterEach(() => writes.close())

const args = (...words: readonly string[]) => ['writebehind', ...words, '--namespace', namespace]

describe('lag', () => {
  it('tells what waits, of each partition too, and that nobody writes it', async () => {
    for (let n = 0; n < 10; n++) await writes.write(`${n}`, 'x')
    const shown = await slotwise(args('lag', name, '--partitions'), { env })
    expect(shown).toMatchObject({ code: 0, stderr: '' })
    expect(shown.stdout).toMatch(
      /^10 changes wait \(\d+ B\), the oldest for [^·]+ · no process flushes\n\nPARTITION {2}CHANGES/,
    )
    expect(shown.stdout.trimEnd().split('\n')).toHaveLength(7)
    const { document } = await json(args('lag', name), { env })
    expect(document).toMatchObject({
      command: 'writebehind lag',
      name,
      entries: 10,
      flushers: 0,
      moving: null,
    })
    expect((document as { partitions: unknown[] }).partitions).toHaveLength(4)
    writes.start()
    await writes.drain()
    const drained = await slotwise(args('lag', name), { env })
    expect(drained.stdout).toBe('nothing waits · 1 process flushes\n')
  })

  it('of a name that nobody has used is refused', async () => {
    const { code, stderr } = await slotwise(args('lag', 'nobody'), { env })
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'slotwise: nothing is known of a write-behind called nobody\n',
    })
  })
})

describe('dead letters', () => {
  beforeEach(async () => {
    const acme = writes.forTenant('acme')
    for (const id of ['"a"', '"b"', '["post","7"]']) refused.add(id)
    await writes.write('a', '1')
    await writes.write(['post', 7], '2')
    await acme.write('a', '3')
    await acme.delete('b')
    writes.start()
    await writes.drain()
  })
  const left = async () =>
    (await writes.deadLetters()).map(({ id, tenant = '' }) => `${tenant} ${String(id)}`).toSorted()

  it('are listed, with what the database said, by tenant too', async () => {
    const { code, stdout, stderr } = await slotwise(args('dead-letters', 'list', name), { env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^SINCE +TENANT +ID +TO BE +ERROR\n/)
    expect(stdout).toMatch(/Z +\["post","7"\] +written +does not fit\n/)
    expect(stdout).toMatch(/ acme +b +deleted +does not fit\n/)
    const { document } = await json(args('dead-letters', 'list', name, '--tenant', 'acme'), { env })
    const { letters } = document as { letters: unknown[] }
    expect(letters).toHaveLength(2)
    expect(letters).toContainEqual(
      expect.objectContaining({
        id: 'a',
        tenant: 'acme',
        row: { id: 'a', tenant: 'acme', deleted: false, value: '3' },
      }),
    )
  })

  it('are tried again, by ids of several parts too, and only those', async () => {
    refused.clear()
    const { document } = await json(args('dead-letters', 'replay', name, '["post",7]', 'none'), { env })
    expect(document).toEqual({ command: 'writebehind dead-letters replay', name, tried: 1 })
    await writes.drain()
    expect(await left()).toEqual([' a', 'acme a', 'acme b'])
    expect(rows.get('["post","7"]')).toBe('2')
    const all = await slotwise(args('dead-letters', 'replay', name), { env })
    expect(all).toMatchObject({ code: 0, stdout: '3 rows will be tried again.\n' })
    await writes.drain()
    const none = await slotwise(args('dead-letters', 'list', name), { env })
    expect(none.stdout).toBe('There are no dead letters.\n')
  })

  it('are forgotten once that is confirmed, of one tenant only', async () => {
    const discard = args('dead-letters', 'discard', name, 'a', '--tenant', 'acme')
    const refusal = await slotwise(discard, { env })
    expect(refusal).toMatchObject({ code: 1, stdout: '' })
    expect(refusal.stderr).toContain('1 dead letter of the tenant "acme"')
    expect(await left()).toHaveLength(4)
    const { stdout } = await slotwise(discard, { env, input: 'y\n' })
    expect(stdout).toBe('1 dead letter forgotten.\n')
    expect(await left()).toEqual([' a', ' post,7', 'acme b'])
    const all = await json(args('dead-letters', 'discard', name, '--yes'), { env })
    expect(all.document).toMatchObject({ discarded: 3 })
    expect(await left()).toEqual([])
  })

  it('are not looked for under what is no id', async () => {
    const { code, stderr } = await slotwise(args('dead-letters', 'replay', name, '[post'), { env })
    expect(code).toBe(2)
    expect(stderr).toContain(`'["post",7]'`)
  })
})

describe('partitions', () => {
  it('are planned, and changed with progress', async () => {
    await writes.write('a', '1')
    const planned = await slotwise(args('partitions', name, '--to', '6', '--dry-run'), { env })
    expect(planned).toMatchObject({ code: 0, stderr: '' })
    expect(planned.stdout).toBe(
      `${name} would have 6 partitions instead of 4. 1 change would be written first, by 0 processes, and 0 dead letters carried over. Nothing was done.\n`,
    )
    const idle = await slotwise(args('partitions', name, '--to', '6'), { env })
    expect(idle.code).toBe(1)
    expect(idle.stderr).toContain('no process flushes what waits (1)')
    writes.start()
    await expect
      .poll(async () => (await slotwise(args('lag', name), { env })).stdout)
      .toContain('1 process flushes')
    const done = await slotwise(args('partitions', name, '--to', '6'), { env })
    expect(done.code).toBe(0)
    expect(done.stdout).toContain(`${name} has 6 partitions instead of 4.`)
    expect(done.stderr).toMatch(
      /sealing partitions 1\/\d+[^]*draining partitions[^]*opening partitions[^]*6\/6\n$/,
    )
    await expect(writes.write('a', '2')).rejects.toThrow(/has 6 partitions, and not 4/)
    await using others = opened(6)
    await others.write('a', '3')
    await others.drain()
    expect(rows.get('"a"')).toBe('3')
    const again = await json(args('partitions', name, '--to', '6'), { env })
    expect(again.document).toMatchObject({ changed: false, from: 6, to: 6 })
  })

  it('whose change is stopped are changed by the next run, and say so until then', async () => {
    await writes.write('a', 'x')
    await using slow = new WriteBehind<string>(port(), {
      name,
      partitions: 4,
      leaseMs: 1000,
      writeBatch: () => new Promise<void>(() => {}),
    })
    slow.start()
    await expect
      .poll(async () => (await slotwise(args('lag', name), { env })).stdout)
      .toContain('1 process flushes')
    const running = start(args('partitions', name, '--to', '6'), { env })
    await running.until(/1 change to be written/)
    running.child.kill('SIGINT')
    expect(await running.ended).toMatchObject({ code: 130 })
    const { stdout } = await slotwise(args('lag', name), { env })
    expect(stdout).toContain('being changed to 6 partitions, nothing is accepted')
    const other = await slotwise(args('partitions', name, '--to', '7'), { env })
    expect(other).toMatchObject({ code: 1 })
    await slow.close()
    writes.start()
    expect((await slotwise(args('partitions', name, '--to', '6'), { env })).code).toBe(0)
  })

  it.each([[], ['--to', '0'], ['--to', '1025'], ['--to', 'x']])('are not changed to %j', async (...to) => {
    const { code } = await slotwise(args('partitions', name, ...to), { env })
    expect(code).toBe(2)
  })
})
