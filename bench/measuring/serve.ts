/** What the parent of a process asks. */
export interface Question {
  readonly number: number
  readonly task: string
  readonly args: readonly unknown[]
}

export interface Answer {
  readonly number: number
  readonly result?: unknown
  readonly error?: string
}

/** Does what the parent asks, in turns; the process goes with its parent. */
export function serve(tasks: object): void {
  // Whatever is open or hangs: nobody asks any more.
  process.on('disconnect', () => process.exit())
  process.on('message', ({ number, task, args }: Question) => {
    const work = Reflect.get(tasks, task) as (...args: readonly unknown[]) => Promise<unknown>
    const answer = (rest: Omit<Answer, 'number'>) => process.send?.({ number, ...rest } satisfies Answer)
    work.apply(tasks, [...args]).then(
      (result) => answer({ result }),
      (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
    )
  })
  process.send?.({ number: 0 } satisfies Answer)
}
