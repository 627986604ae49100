import { X509Certificate } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeCertificate } from 'slotwise/local'

// Makes what TLS needs, unless it is there for a month more. With a new authority all nodes and clients have to be
// restarted together, which is why it is not done sooner than it must be.
const { TLS_FOLDER: folder = '', TLS_NAMES: names = '', TLS_ADDRESSES: addresses = '' } = process.env
const MONTH_MS = 30 * 86_400_000

if (await isGoodFor(MONTH_MS)) console.log('the certificate is kept')
else {
  const { cert, key, ca } = makeCertificate({ names: words(names), addresses: words(addresses) })
  await put('ca.pem', ca, 0o644)
  await put('key.pem', key, 0o600)
  await put('cert.pem', cert, 0o644)
  console.log('a certificate was made')
}

/** @param {number} ms */
async function isGoodFor(ms) {
  try {
    const cert = new X509Certificate(await readFile(join(folder, 'cert.pem')))
    const ca = new X509Certificate(await readFile(join(folder, 'ca.pem')))
    await readFile(join(folder, 'key.pem'))
    return cert.verify(ca.publicKey) && Date.parse(cert.validTo) - Date.now() > ms
  } catch {
    return false
  }
}

/** @param {string} name @param {string} text @param {number} mode */
async function put(name, text, mode) {
  await writeFile(join(folder, `${name}.new`), text, { mode })
  await rename(join(folder, `${name}.new`), join(folder, name))
}

/** @param {string} text */
function words(text) {
  return text.split(/\s+/).filter((word) => word !== '')
}
