import { expect, it } from 'vitest'
import { type PostgresClient, transaction } from '../../src/postgres.js'

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await Promise.resolve()
}

it.each([0, 1, 2, 3, 4, 5, 6, 8, 12])(
  'a transaction that is given up %i turns after its client came gives it back, and commits nothing',
  async (count) => {
    const released: unknown[] = []
    const asked: string[] = []
    const client: PostgresClient = {
      query: async (text) => {
        asked.push(text)
        return { rows: [] }
      },
      release: (isBroken) => void released.push(isBroken),
      on: () => client,
      removeListener: () => client,
    }
    const giving = new AbortController()
    const pool = { connect: () => Promise.resolve(client), query: () => Promise.resolve({ rows: [] }) }
    const act = () => new Promise<never>((_, reject) => setTimeout(reject, 5, new Error('too long')))
    const ended = transaction(pool, { timeoutMs: 1000 }, giving.signal, act)
    await turns(count)
    giving.abort(new Error('given up'))
    await expect(ended).rejects.toThrow(/given up|too long/)
    expect(released).toHaveLength(1)
    expect(asked).not.toContain('commit')
  },
)
