/** A process of one subject: does what its parent asks, in turns, and goes with its parent. */
import type { Place } from './subject.js'
import { isName, SUBJECTS } from './subjects.js'
import { Tasks } from './tasks.js'

export interface Question {
  readonly number: number
  readonly task: keyof Tasks
  readonly args: readonly unknown[]
}

export interface Answer {
  readonly number: number
  readonly result?: unknown
  readonly error?: string
}

const [, , name, place] = process.argv
if (!isName(name) || place === undefined) throw new Error('usage: child NAME PLACE')
const tasks = new Tasks(await SUBJECTS[name](), JSON.parse(place) as Place)

// Whatever is open or hangs: nobody asks any more.
process.on('disconnect', () => process.exit())
process.on('message', ({ number, task, args }: Question) => {
  const work = tasks[task] as (...args: readonly unknown[]) => Promise<unknown>
  const answer = (rest: Omit<Answer, 'number'>) => process.send?.({ number, ...rest } satisfies Answer)
  work.apply(tasks, [...args]).then(
    (result) => answer({ result }),
    (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
  )
})
process.send?.({ number: 0 } satisfies Answer)
