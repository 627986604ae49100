import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ConfigurationError } from '../../src/errors.js'
import { Login } from '../../src/redis/credentials.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('asks once for all who want to log in, and again when they were refused', async () => {
  let asked = 0
  const login = new Login(async () => ({ password: `p${++asked}` }))
  const [one, two] = await Promise.all([login.current(), login.current()])
  expect([one, two]).toEqual([
    { password: 'p1', username: undefined, validForMs: undefined },
    { password: 'p1', username: undefined, validForMs: undefined },
  ])
  login.refused(one)
  // Whoever is refused with what has been replaced already does not cause another question.
  const three = await login.current()
  login.refused(one)
  expect(login.current()).toBe(three)
  expect(asked).toBe(2)
  login.close()
})

it('renews what runs out before it does, and tries again when that fails', async () => {
  let asked = 0
  const login = new Login(async () => {
    if (++asked === 2) throw new Error('away')
    return { password: `p${asked}`, validForMs: 1000 }
  })
  let renewed = 0
  login.renewed = () => renewed++
  await login.current()
  await vi.advanceTimersByTimeAsync(799)
  expect(asked).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect([asked, renewed]).toEqual([2, 0])
  await vi.advanceTimersByTimeAsync(1000)
  expect([asked, renewed]).toEqual([3, 1])
  login.close()
  await vi.advanceTimersByTimeAsync(5000)
  expect(asked).toBe(3)
})

it('refuses what are no credentials', async () => {
  const login = new Login((() => Promise.resolve({ user: 'x' })) as never)
  await expect(login.current()).rejects.toThrow(ConfigurationError)
})
