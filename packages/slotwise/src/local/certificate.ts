import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'
import { ConfigurationError } from '../errors.js'
import { shown } from '../options.js'

/** What servers of this machine need for TLS, in PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
  /** The authority that signed it, to be trusted by clients. */
  readonly ca: string
}

const DAY_MS = 86_400_000

/** Whom a certificate of {@link makeCertificate} speaks for. */
export interface CertificateOptions {
  /** Host names. @defaultValue `['localhost']` */
  readonly names?: readonly string[] | undefined
  /** Addresses, IPv4 or `::1`. @defaultValue `['127.0.0.1', '::1']` */
  readonly addresses?: readonly string[] | undefined
}

/**
 * A certificate good for a year, for servers and for the links between them, signed by an authority made for it alone
 * whose key nobody keeps. For tests, development and networks of your own; it cannot be renewed, only made anew, with
 * another authority.
 *
 * Written out in DER, since Node signs but does not make certificates, and `openssl` is not on every machine.
 *
 * @throws ConfigurationError for what is no name or no address
 *
 * @example
 * ```ts
 * import { makeCertificate } from 'slotwise/local'
 *
 * const { cert, key, ca } = makeCertificate({ names: ['redis-1'], addresses: ['10.0.0.1'] })
 * console.log(cert, ca, key.length)
 * ```
 */
export function makeCertificate(options: CertificateOptions = {}): Certificate {
  const { names = ['localhost'], addresses = ['127.0.0.1', '::1'] } = options
  const subjects = [...names.map(nameSubject), ...addresses.map(addressSubject)]
  const [first] = [...names, ...addresses]
  if (first === undefined) throw new ConfigurationError('a certificate needs a name or an address')
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const server = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = 'slotwise local authority'
  const signer = { name: issuer, ...authority }
  const ca = certificate(issuer, authority.publicKey, signer, [
    extension('2.5.29.19', sequence(TRUE), true),
    // keyCertSign, cRLSign
    extension('2.5.29.15', bits(0b0000_0110, 1), true),
  ])
  // As long as a common name may be; who is meant is said in full below.
  const cert = certificate(first.slice(0, 64), server.publicKey, signer, [
    extension('2.5.29.19', sequence(), true),
    // digitalSignature
    extension('2.5.29.15', bits(0b1000_0000, 7), true),
    // serverAuth, and clientAuth for the links between the nodes
    extension('2.5.29.37', sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2'))),
    extension('2.5.29.17', sequence(...subjects)),
  ])
  return { cert, ca, key: server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

function nameSubject(host: string): Buffer {
  if (/^[a-z0-9*](?:[a-z0-9.-]{0,250}[a-z0-9])?$/i.test(host)) return tagged(0x82, Buffer.from(host))
  throw new ConfigurationError(`names must hold host names, got ${shown(host)}`)
}

function addressSubject(address: string): Buffer {
  if (isIPv4(address)) return tagged(0x87, Buffer.from(address.split('.').map(Number)))
  if (address === '::1') return tagged(0x87, Buffer.from([...Buffer.alloc(15), 1]))
  throw new ConfigurationError(`addresses must hold IPv4 addresses or ::1, got ${shown(address)}`)
}

interface Signer {
  readonly name: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

// RFC 5280, section 4.1; the signature is ecdsa-with-SHA256.
function certificate(subject: string, key: KeyObject, signer: Signer, extensions: readonly Buffer[]): string {
  const algorithm = sequence(oid('1.2.840.10045.4.3.2'))
  const identifiers = [
    extension('2.5.29.14', tagged(0x04, keyId(key))),
    extension('2.5.29.35', sequence(tagged(0x80, keyId(signer.publicKey)))),
  ]
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))),
    tagged(0x02, serial()),
    algorithm,
    name(signer.name),
    sequence(time(Date.now() - DAY_MS), time(Date.now() + 366 * DAY_MS)),
    name(subject),
    key.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...identifiers, ...extensions)),
  )
  const signature = sign('sha256', body, { key: signer.privateKey, dsaEncoding: 'der' })
  const whole = sequence(body, algorithm, tagged(0x03, Buffer.from([0]), signature))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

const TRUE = Buffer.from([0x01, 0x01, 0xff])

function tagged(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  const { length } = body
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), body])
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x30, ...parts)
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return tagged(0x06, Buffer.from(bytes))
}

function name(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(oid('2.5.4.3'), tagged(0x0c, Buffer.from(commonName)))))
}

/** UTCTime, as it has to be until 2049. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return tagged(0x17, Buffer.from(text.slice(2)))
}

/** Positive and without a leading zero. */
function serial(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}

function bits(byte: number, unused: number): Buffer {
  return tagged(0x03, Buffer.from([unused, byte]))
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [TRUE] : []), tagged(0x04, value))
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha1')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
}
