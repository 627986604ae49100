import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { type Browser, chromium } from 'playwright-core'

const run = promisify(execFile)
const NAMES = ['chromium', 'chromium-browser', 'google-chrome']

/** Chromium of this machine, which is installed where that is possible and it is missing. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = (await find()) ?? (await install())
  return chromium.launch({
    executablePath,
    // What a browser asks of its maker's hosts has no place in a test; a root user has no sandbox to enter.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

async function find(): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of NAMES) {
      const path = join(folder, name)
      const found = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (found) return path
    }
  }
  return undefined
}

async function install(): Promise<string> {
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    await run('apt-get', ['update'], { env })
    await run('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'], { env, maxBuffer: 1e8 })
  } catch (error) {
    throw new Error('these tests need Chromium on PATH, and it could not be installed', { cause: error })
  }
  const path = await find()
  if (path === undefined) throw new Error('these tests need Chromium on PATH, and installing it brought none')
  return path
}
