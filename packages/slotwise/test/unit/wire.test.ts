import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import {
  ConfigurationError,
  OutcomeUnknownError,
  RedisUnavailableError,
  ReplyError,
  UnexpectedReplyError,
} from '../../src/errors.js'
import { encodeCommand, RespParser, type WireReply } from '../../src/redis/resp.js'
import { WireClient } from '../../src/redis/wire.js'
import { rounds } from '../support/budget.js'

/** A reply, the bytes a server would send for it, and what the parser should make of them. */
interface Sample {
  readonly bytes: Buffer
  readonly value: WireReply
}

const line = (kind: string, text: string) => Buffer.from(`${kind}${text}\r\n`)
const oneLine = fc.string({ unit: 'binary' }).map((text) => text.replace(/[\r\n]/g, ' '))
const integer = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const blob = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
const small = (value: bigint) => (Number.isSafeInteger(Number(value)) ? Number(value) : value)
const bulk = (kind: string, body: Buffer) =>
  Buffer.concat([line(kind, String(body.length)), body, Buffer.from('\r\n')])

const leaf: fc.Arbitrary<Sample> = fc.oneof(
  oneLine.map((text) => ({ bytes: line('+', text), value: text })),
  oneLine.map((text) => ({ bytes: line('-', text), value: new ReplyError(text) })),
  integer.map((value) => ({ bytes: line(':', String(value)), value: small(value) })),
  blob.map((body) => ({ bytes: bulk('$', body), value: body })),
  blob.map((body) => ({ bytes: bulk('=', Buffer.concat([Buffer.from('txt:'), body])), value: body })),
  oneLine.map((text) => ({ bytes: bulk('!', Buffer.from(text)), value: new ReplyError(text) })),
  fc.constantFrom('$-1', '*-1', '_').map((text) => ({ bytes: line('', text), value: null })),
  fc.boolean().map((value) => ({ bytes: line('#', value ? 't' : 'f'), value })),
  fc.bigInt().map((value) => ({ bytes: line('(', String(value)), value })),
  fc
    .double({ noNaN: true })
    .map((value) => ({ bytes: line(',', String(value).replace('Infinity', 'inf')), value: value + 0 })),
)
const list = (kind: string, items: readonly Sample[], count = items.length): Sample => ({
  bytes: Buffer.concat([line(kind, String(count)), ...items.map(({ bytes }) => bytes)]),
  value: items.map(({ value }) => value),
})
const { reply } = fc.letrec<{ reply: Sample; nested: Sample }>((tie) => ({
  reply: fc.oneof({ maxDepth: 5, withCrossShrink: true }, leaf, tie('nested')),
  nested: fc.oneof(
    fc.array(tie('reply'), { maxLength: 5 }).map((items) => list('*', items)),
    fc.array(tie('reply'), { maxLength: 5 }).map((items) => list('~', items)),
    fc
      .array(fc.tuple(tie('reply'), tie('reply')), { maxLength: 3 })
      .map((pairs) => list('%', pairs.flat(), pairs.length)),
    // An attribute before a reply is no part of it.
    fc.tuple(leaf, leaf, tie('reply')).map(([name, value, real]) => ({
      bytes: Buffer.concat([list('|', [name, value], 1).bytes, real.bytes]),
      value: real.value,
    })),
  ),
}))

function parse(chunks: readonly Buffer[]) {
  const replies: WireReply[] = []
  const pushes: (readonly WireReply[])[] = []
  const parser = new RespParser(
    (value) => replies.push(value),
    (message) => pushes.push(message),
  )
  for (const chunk of chunks) parser.push(chunk)
  return { replies, pushes }
}

/** The bytes cut at the given places, each a fraction of the whole. */
function cut(bytes: Buffer, places: readonly number[]): readonly Buffer[] {
  const at = [0, ...places.map((place) => Math.floor(place * bytes.length)), bytes.length].toSorted(
    (a, b) => a - b,
  )
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

describe('the parser', () => {
  it('reads any replies, however the network cuts them', () => {
    fc.assert(
      fc.property(
        fc.array(reply, { minLength: 1, maxLength: 4 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 }),
        (samples, places) => {
          const bytes = Buffer.concat(samples.map((sample) => sample.bytes))
          const wanted = samples.map(({ value }) => value)
          expect(parse(cut(bytes, places)).replies).toEqual(wanted)
        },
      ),
      { numRuns: rounds(300, 20_000) },
    )
  })

  it('reads any replies byte by byte', () => {
    fc.assert(
      fc.property(reply, ({ bytes, value }) => {
        expect(parse([...bytes].map((byte) => Buffer.from([byte]))).replies).toEqual([value])
      }),
      { numRuns: rounds(100, 5000) },
    )
  })

  it('keeps messages that nobody asked for apart from answers', () => {
    const message = list('>', [
      { bytes: bulk('$', Buffer.from('invalidate')), value: Buffer.from('invalidate') },
    ])
    const answer = line('+', 'OK')
    expect(parse([Buffer.concat([answer, message.bytes, answer])])).toEqual({
      replies: ['OK', 'OK'],
      pushes: [message.value],
    })
  })

  it('either reads bytes or says that they are not Redis, and fails in no other way', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
        let failure: unknown
        try {
          parse([Buffer.from(bytes)])
        } catch (error) {
          failure = error
        }
        expect(failure === undefined || failure instanceof UnexpectedReplyError).toBe(true)
      }),
      { numRuns: rounds(300, 20_000) },
    )
  })

  it.each(['HTTP/1.1 400 Bad Request\r\n', '$3\r\nabcd\r\n', '*x\r\n', ':1.5\r\n', '+no\n', '$-2\r\n'])(
    'refuses %j',
    (text) => {
      expect(() => parse([Buffer.from(text)])).toThrow(UnexpectedReplyError)
    },
  )

  it('takes deep nesting without its stack, and announced lengths without memory', () => {
    const deep = Buffer.from(`${'*1\r\n'.repeat(100_000)}:1\r\n`)
    let value = parse([deep]).replies[0]
    while (Array.isArray(value)) value = value[0]
    expect(value).toBe(1)
    expect(parse([Buffer.from('*4294967296\r\n$536870912\r\nab')]).replies).toEqual([])
  })

  it('takes a large string in small pieces in time that grows with its length', () => {
    const body = Buffer.alloc(8 * 1024 * 1024, 'x')
    const bytes = bulk('$', body)
    const pieces = Array.from({ length: Math.ceil(bytes.length / 1000) }, (_, i) =>
      bytes.subarray(i * 1000, (i + 1) * 1000),
    )
    const started = performance.now()
    expect(body.equals(parse(pieces).replies[0] as Buffer)).toBe(true)
    // Copying everything again with each piece would move 34 GB.
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

describe('a command', () => {
  it('is sent as its bytes', () => {
    expect(encodeCommand(['SET', 'é', 7, 8n, Buffer.from([0, 13, 10, 255])])).toEqual(
      Buffer.concat([
        Buffer.from('*5\r\n$3\r\nSET\r\n$2\r\né\r\n$1\r\n7\r\n$1\r\n8\r\n$4\r\n'),
        Buffer.from([0, 13, 10, 255, 13, 10]),
      ]),
    )
  })
})

describe('a connection', () => {
  const closing: (() => void)[] = []
  afterEach(() => {
    for (const close of closing.splice(0)) close()
  })

  /** A server that answers as told, or not at all. */
  async function serve(onData: (socket: Socket, text: string) => void): Promise<number> {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (data) => onData(socket, data.toString()))
      closing.push(() => socket.destroy())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(() => server.close())
    return (server.address() as AddressInfo).port
  }
  const connect = (port: number, more: object = {}) =>
    WireClient.connect({ host: '127.0.0.1', port, timeoutMs: 300, ...more })

  it('says where nobody listens', async () => {
    const port = await serve(() => {})
    for (const close of closing.splice(0)) close()
    await expect(connect(port)).rejects.toThrow(
      expect.objectContaining({
        constructor: RedisUnavailableError,
        node: `127.0.0.1:${port}`,
        message: expect.stringContaining('nothing listens there'),
      }),
    )
  })

  it('gives up on a server that accepts and says nothing', async () => {
    const port = await serve(() => {})
    await expect(connect(port)).rejects.toThrow(RedisUnavailableError)
  })

  it('tells a web server from Redis', async () => {
    const port = await serve((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await expect(connect(port)).rejects.toThrow(UnexpectedReplyError)
  })

  it('suggests TLS to who is cut off, and doubts it where the handshake fails', async () => {
    const port = await serve((socket) => socket.destroy())
    await expect(connect(port)).rejects.toThrow(/set tls/)
    await expect(connect(port, { tls: true })).rejects.toThrow(/does it speak TLS/)
  })

  it.each([
    ['-WRONGPASS invalid username-password pair', /refuses this name and password/],
    ['-NOAUTH Authentication required.', /asks for a password/],
    ['-DENIED Redis is running in protected mode', /protected mode/],
    ['-ERR AUTH <password> called without any password configured for the default user', /knows no password/],
  ])('explains %s', async (answer, words) => {
    const port = await serve((socket) => socket.write(`${answer}\r\n`))
    const attempt = connect(port, { password: 'x' })
    await expect(attempt).rejects.toThrow(ConfigurationError)
    await expect(attempt).rejects.toThrow(words)
  })

  it('gives each answer to its own question, also after one that came too late', async () => {
    let delayMs = 0
    const port = await serve((socket, text) => {
      for (const [, word = ''] of text.matchAll(/\$4\r\n(\w{4})\r\n/g)) {
        setTimeout(() => socket.write(word === 'PING' ? '+PONG\r\n' : `+${word}\r\n`), delayMs)
      }
    })
    const client = await connect(port)
    delayMs = 120
    await expect(client.call(['late'], 40)).rejects.toThrow(OutcomeUnknownError)
    expect(await Promise.all([client.call(['one1']), client.call(['two2'])])).toEqual(['one1', 'two2'])
    client.close()
    await expect(client.call(['gone'])).rejects.toThrow('closed')
  })

  it('fails what is under way when the server goes away', async () => {
    const port = await serve((socket, text) => {
      if (text.includes('PING')) socket.write('+PONG\r\n')
      else socket.destroy()
    })
    const client = await connect(port)
    await expect(client.call(['GET', 'k'])).rejects.toThrow(OutcomeUnknownError)
    await expect(client.call(['GET', 'k'])).rejects.toThrow(OutcomeUnknownError)
  })

  it('can be given up while it is made', async () => {
    const port = await serve(() => {})
    const reason = new Error('enough')
    await expect(connect(port, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})
