import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Answer, Question } from './serve.js'

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

type Method = (...args: never[]) => Promise<unknown>
/** The names of what `T` can be asked to do. */
type Task<T> = { [K in keyof T]: T[K] extends Method ? K : never }[keyof T] & string
type Args<M> = M extends (...args: infer A) => unknown ? A : never
type Result<M> = M extends (...args: never[]) => Promise<infer R> ? R : never

/** One subject in a process of its own that serves `T`, so that what hangs or crashes there ends nothing here. */
export class Held<T extends object, Name extends string = string> {
  readonly name: Name
  readonly #child: ChildProcess
  readonly #asked = new Map<number, (answer: Answer) => void>()
  readonly #ended: Promise<string>
  #said = ''
  #number = 0

  private constructor(name: Name, program: URL, args: readonly string[]) {
    this.name = name
    this.#child = fork(fileURLToPath(program), args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
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

  /**
   * @param program which calls `serve`
   * @throws if it cannot even be started
   */
  static async start<T extends object, Name extends string>(
    name: Name,
    program: URL,
    args: readonly string[],
  ): Promise<Held<T, Name>> {
    const held = new Held<T, Name>(name, program, args)
    const ready = new Promise<Answer>((resolve) => held.#asked.set(0, resolve))
    const first = await held.#within(ready, STARTING_MS)
    if (first.kind === 'done') return held
    throw new Error(`${name} did not start: ${JSON.stringify(first)}`)
  }

  async ask<K extends Task<T>>(task: K, args: Args<T[K]>, withinMs: number): Promise<Outcome<Result<T[K]>>> {
    const number = ++this.#number
    const answered = new Promise<Answer>((resolve) => this.#asked.set(number, resolve))
    if (!this.#child.connected) return { kind: 'crashed', why: await this.#ended }
    this.#child.send({ number, task, args } satisfies Question)
    const outcome = await this.#within(answered, withinMs)
    if (outcome.kind !== 'done') return outcome
    const { error, result } = outcome.result
    if (error !== undefined) return { kind: 'failed', why: error }
    return { kind: 'done', result: result as Result<T[K]> }
  }

  /** {@link ask} for what has to succeed. */
  async must<K extends Task<T>>(task: K, args: Args<T[K]>, withinMs = STARTING_MS): Promise<Result<T[K]>> {
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
