import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Answer, Question } from './child.js'
import type { Place } from './subject.js'
import type { Name } from './subjects.js'
import type { Tasks } from './tasks.js'

/** What came of a task in another process. */
export type Outcome<R> =
  | { readonly kind: 'done'; readonly result: R }
  /** It threw. */
  | { readonly kind: 'failed'; readonly why: string }
  /** It did not end in time. */
  | { readonly kind: 'hung' }
  /** The process did. */
  | { readonly kind: 'crashed'; readonly why: string }

/** Starting a process on a busy machine, and connecting to a cluster. */
const STARTING_MS = 30_000

/** One subject in a process of its own, so that what hangs or crashes there ends nothing here. */
export class Held {
  readonly name: Name
  readonly #child: ChildProcess
  readonly #asked = new Map<number, (answer: Answer) => void>()
  readonly #ended: Promise<string>
  #said = ''
  #number = 0

  private constructor(name: Name, place: Place) {
    this.name = name
    const file = fileURLToPath(new URL('./child.ts', import.meta.url))
    this.#child = fork(file, [name, JSON.stringify(place)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.#child.on('message', (answer: Answer) => {
      this.#asked.get(answer.number)?.(answer)
      this.#asked.delete(answer.number)
    })
    this.#child.stderr?.on('data', (chunk) => {
      this.#said = (this.#said + String(chunk)).slice(-4000)
    })
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve(this.#lastWords(code, signal)))
    })
  }

  /** @throws if it cannot even be started, or does not connect */
  static async start(name: Name, place: Place): Promise<Held> {
    const held = new Held(name, place)
    const ready = new Promise<Answer>((resolve) => held.#asked.set(0, resolve))
    const first = await held.#within(ready, STARTING_MS)
    if (first.kind === 'done') return held
    throw new Error(`${name} did not start: ${JSON.stringify(first)}`)
  }

  async ask<T extends keyof Tasks>(
    task: T,
    args: Parameters<Tasks[T]>,
    withinMs: number,
  ): Promise<Outcome<Awaited<ReturnType<Tasks[T]>>>> {
    const number = ++this.#number
    const answered = new Promise<Answer>((resolve) => this.#asked.set(number, resolve))
    if (!this.#child.connected) return { kind: 'crashed', why: await this.#ended }
    this.#child.send({ number, task, args } satisfies Question)
    const outcome = await this.#within(answered, withinMs)
    if (outcome.kind !== 'done') return outcome
    const { error, result } = outcome.result
    if (error !== undefined) return { kind: 'failed', why: error }
    return { kind: 'done', result: result as Awaited<ReturnType<Tasks[T]>> }
  }

  /** {@link ask} for what has to succeed. */
  async must<T extends keyof Tasks>(
    task: T,
    args: Parameters<Tasks[T]>,
    withinMs = STARTING_MS,
  ): Promise<Awaited<ReturnType<Tasks[T]>>> {
    const outcome = await this.ask(task, args, withinMs)
    if (outcome.kind === 'done') return outcome.result
    throw new Error(`${this.name} could not ${task}: ${JSON.stringify(outcome)}`)
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  async #within<R>(promise: Promise<R>, ms: number): Promise<Outcome<R>> {
    let timer: NodeJS.Timeout | undefined
    const hung = new Promise<Outcome<R>>((resolve) => {
      timer = setTimeout(() => resolve({ kind: 'hung' }), ms)
    })
    const done = promise.then((result): Outcome<R> => ({ kind: 'done', result }))
    const crashed = this.#ended.then((why): Outcome<R> => ({ kind: 'crashed', why }))
    try {
      return await Promise.race([done, crashed, hung])
    } finally {
      clearTimeout(timer)
    }
  }

  #lastWords(code: number | null, signal: string | null): string {
    const error = this.#said.split('\n').find((line) => /\w*Error\b/.test(line))
    return error?.trim() ?? `it ended with ${signal ?? code}`
  }
}
