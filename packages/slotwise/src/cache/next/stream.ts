import { UncacheableValueError } from '../../errors.js'

/** So much of an entry is handed out at a time, as fast as it is read. */
const CHUNK_BYTES = 64 * 1024

/**
 * All that a stream delivers, once it has ended well. More than `mostBytes` is not gathered: the stream is cancelled.
 *
 * @throws UncacheableValueError it is larger; whatever the stream fails with
 */
export async function gathered(stream: ReadableStream<Uint8Array>, mostBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(chunks)
    bytes += value.byteLength
    if (bytes > mostBytes) {
      const error = new UncacheableValueError(`an entry is not cached: it is larger than ${mostBytes} bytes`)
      await reader.cancel(error).catch(() => {})
      throw error
    }
    chunks.push(value)
  }
}

/** A new stream of bytes that are there. */
export function streamOf(bytes: Buffer): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.byteLength) {
        controller.close()
        return
      }
      // Copies: whoever reads it may hand the memory over to somebody else.
      controller.enqueue(Uint8Array.prototype.slice.call(bytes, at, at + CHUNK_BYTES))
      at += CHUNK_BYTES
    },
  })
}
