import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { on, once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What a process that will stand still reads and holds. */
export interface StallTask {
  readonly nodes: readonly string[]
  readonly namespace: string
  /** Caches, by how far what they hold may be behind. */
  readonly levels: readonly { readonly name: string; readonly maxStalenessMs: number }[]
  readonly ids: readonly string[]
}

/** Hold all of it, and then stand still, if for any time: until a file is there, at the latest. */
export interface StallOrder {
  readonly stallMs: number
  readonly untilFile?: string
}

/** What it found when it went on. */
export interface StallReport {
  readonly isHeld: true
  readonly stoodStillMs: number
  readonly reads: readonly { readonly level: string; readonly isLocal: boolean; readonly value: string }[]
}

const CHILD = fileURLToPath(new URL('stalling-child.ts', import.meta.url))

/** A process whose event loop stands still when it is told to. */
export class Staller implements AsyncDisposable {
  readonly #child: ChildProcess

  constructor(task: StallTask) {
    this.#child = fork(CHILD, [JSON.stringify(task)], {
      execArgv: ['--import', 'tsx', '--conditions=slotwise-source'],
    })
  }

  /** Resolves when it serves all from what it holds. */
  async hold(): Promise<void> {
    this.#child.send({ stallMs: 0 } satisfies StallOrder)
    await this.#told('isHeld')
  }

  /** Resolves when it stands still, until it is woken or its time is over; then with what it has found. */
  async stall(stallMs: number): Promise<{ readonly wake: () => void; readonly woken: Promise<StallReport> }> {
    // Whoever stands still hears of nothing, and can look at what is there.
    const untilFile = join(tmpdir(), `slotwise-stall-${randomUUID()}`)
    this.#child.send({ stallMs, untilFile } satisfies StallOrder)
    await this.#told('isHeld')
    let isAwake = false
    const woken = this.#told('reads').finally(() => {
      isAwake = true
      rmSync(untilFile, { force: true })
    })
    const wake = (): void => {
      if (!isAwake) writeFileSync(untilFile, '')
    }
    return { wake, woken }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }

  async #told(what: keyof StallReport): Promise<StallReport> {
    for await (const [report] of on(this.#child, 'message') as AsyncIterable<[Partial<StallReport>]>) {
      if (report[what] !== undefined) return report as StallReport
    }
    throw new Error('the process has ended')
  }
}
