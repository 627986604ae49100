import type { Outcome } from './options.js'

/** Only the first word counts. */
type Tell = (status: number | undefined) => void

interface Followed {
  /** To be sent in the place of the one that was given. */
  readonly response: Response
  /** Settles when whoever was to be told has done what there was to do. */
  readonly work: Promise<void>
}

/** A body that nobody reads to its end, or cancels, must not count as being read for ever. */
const forgotten = new FinalizationRegistry((tell: Tell) => tell(undefined))

/**
 * Tells once how a response to `method` ended: with its status when its body has been read to the end, without one when that failed, was
 * cancelled or has been forgotten. One without a body has ended. Nothing is read before it is asked for.
 */
export function whenRead(
  method: string,
  response: Response,
  ended: (outcome: Outcome) => Promise<void>,
): Followed {
  const { body, status } = response
  // The answer to a HEAD is made like that to a GET, and its body left.
  if (body === null || body.locked || method === 'HEAD') return { response, work: ended({ status }) }
  let tell: Tell = () => {}
  const work = new Promise<number | undefined>((done) => {
    tell = done
  }).then((how) => ended({ status: how }))
  const followed = following(body.getReader(), status, tell)
  forgotten.register(followed, tell)
  return { response: new Response(followed, response), work }
}

function following(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  status: number,
  tell: Tell,
): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          controller.close()
          tell(status)
        } catch (error) {
          tell(undefined)
          throw error
        }
      },
      cancel: async (reason) => {
        tell(undefined)
        await reader.cancel(reason)
      },
    },
    // Else a chunk would be read ahead.
    { highWaterMark: 0 },
  )
}
