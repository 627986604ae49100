import { connect } from 'node:net'

/** Whether somebody listens there, or why not. */
export type Knock = { readonly open: true } | { readonly open: false; readonly reason: string }

/** Connects by plain TCP, says nothing, and leaves. */
export function knock(
  { host, port }: { readonly host: string; readonly port: number },
  timeoutMs: number,
): Promise<Knock> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (result: Knock) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    const timer = setTimeout(
      () => end({ open: false, reason: `no connection within ${timeoutMs} ms` }),
      timeoutMs,
    )
    socket.on('connect', () => end({ open: true }))
    socket.on('error', (error: Error & { readonly code?: string }) =>
      end({ open: false, reason: error.code ?? error.message }),
    )
  })
}
