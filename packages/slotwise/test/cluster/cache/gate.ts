/** A promise that is opened from outside: tests use it to hold a loader or a command exactly where a race needs it. */
export interface Gate<T = void> {
  readonly passed: Promise<T>
  readonly open: (value: T) => void
}

export function gate<T = void>(): Gate<T> {
  let open: (value: T) => void = () => {}
  const passed = new Promise<T>((resolve) => {
    open = resolve
  })
  return { passed, open }
}

/** Lets everything run that is not waiting for the network or a timer. */
export async function turns(count = 3): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** A loader that tells when it was called and returns when it is told to. */
export function heldLoad<T>(): {
  load: () => Promise<T>
  readonly called: Promise<void>
  finish: (value: T) => void
} {
  const called = gate()
  const result = gate<T>()
  const load = (): Promise<T> => {
    called.open()
    return result.passed
  }
  return { load, called: called.passed, finish: result.open }
}
