import { describe, expect, it } from 'vitest'
import { Looks } from '../../../src/lock/looks.js'

describe('looks', () => {
  it('begin after they are asked for, and are shared by those who ask while one is under way', async () => {
    const ends: (() => void)[] = []
    const looks = new Looks(() => new Promise<void>((resolve) => void ends.push(resolve)))
    const first = looks.anew()
    await expect.poll(() => ends.length).toBe(1)
    const others = [looks.anew(), looks.anew()]
    expect(ends).toHaveLength(1)
    ends[0]?.()
    await first
    await expect.poll(() => ends.length).toBe(2)
    ends[1]?.()
    await Promise.all(others)
    expect(ends).toHaveLength(2)
  })

  it('fail for those who asked, and not for the next', async () => {
    let made = 0
    const looks = new Looks(() => (made++ === 0 ? Promise.reject(new Error('away')) : Promise.resolve()))
    await expect(looks.anew()).rejects.toThrow('away')
    await expect(looks.anew()).resolves.toBeUndefined()
  })
})
