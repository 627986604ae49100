import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { makeCertificate } from '../../src/local/index.js'

const read = ({ cert, ca }: ReturnType<typeof makeCertificate>) =>
  [new X509Certificate(cert), new X509Certificate(ca)] as const

describe('makeCertificate', () => {
  it('speaks for the names and addresses it was given and for no others', () => {
    const [cert] = read(
      makeCertificate({ names: ['redis-1', 'redis.shop.svc'], addresses: ['172.30.77.11'] }),
    )
    expect(cert.checkHost('redis-1')).toBe('redis-1')
    expect(cert.checkHost('redis.shop.svc')).toBe('redis.shop.svc')
    expect(cert.checkIP('172.30.77.11')).toBe('172.30.77.11')
    expect(cert.checkHost('localhost')).toBeUndefined()
    expect(cert.checkIP('127.0.0.1')).toBeUndefined()
  })

  it('speaks for this machine by default', () => {
    const [cert] = read(makeCertificate())
    expect(cert.checkHost('localhost')).toBe('localhost')
    expect(cert.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(cert.checkIP('::1')).toBe('::1')
  })

  it('is signed by its own authority and by no other one', () => {
    const [cert, ca] = read(makeCertificate())
    const [, stranger] = read(makeCertificate())
    expect(cert.verify(ca.publicKey)).toBe(true)
    expect(cert.verify(stranger.publicKey)).toBe(false)
  })

  it.each([
    { names: ['two words'] },
    { names: ['-dash'] },
    { addresses: ['300.1.1.1'] },
    { names: [], addresses: [] },
  ])('refuses %o', (options) => {
    expect(() => makeCertificate(options)).toThrow(/names|addresses|needs a name/)
  })
})
