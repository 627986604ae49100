import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { Journal } from '../../src/writebehind/journal.js'
import { Written } from '../../src/writebehind/written.js'

it('whoever leaves while its question is under way takes nobody along that waits still', async () => {
  const questions: (() => void)[] = []
  const journal = {
    firstWith: async (marks: readonly string[]) => {
      await new Promise<void>((resolve) => void questions.push(resolve))
      return { number: 10, has: marks.map(() => true) }
    },
  } as unknown as Journal
  const written = new Written(journal, { areWritten: async (over) => over.map(() => true) }, () => {})
  const line = (number: number) => ({ number, mark: 'm', name: `row ${number}` })
  const first = written.wait(line(1), 10, undefined)
  const second = written.wait(line(2), 60_000, undefined)
  expect(await first).toBe(false)
  questions[0]?.()
  await expect.poll(() => questions.length, { interval: 1 }).toBe(2)
  questions[1]?.()
  expect(await Promise.race([second, sleep(5000)])).toBe(true)
})
