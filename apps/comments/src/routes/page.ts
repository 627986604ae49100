import { readFile, realpath, stat } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { MiddlewareHandler } from 'hono'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}

/** Nothing from elsewhere, nothing inline, no frame around it. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Serves the files of a folder, `index.html` for `/`. Only what lies inside, has no dot in front and a known kind. */
export function page(folder: string): MiddlewareHandler {
  return async (context, next) => {
    const names = namesIn(context.req.raw.url)
    const file = names && (await find(folder, names))
    if (file === undefined) return next()
    const { mtimeMs, size } = await stat(file)
    const headers = {
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Security-Policy': POLICY,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-cache',
      ETag: `W/"${mtimeMs.toString(36)}-${size.toString(36)}"`,
    }
    if (context.req.header('if-none-match') === headers.ETag) return context.body(null, 304, headers)
    return context.body(new Uint8Array(await readFile(file)), 200, headers)
  }
}

/** The names on the way to the file; `undefined` for what cannot be the name of one. */
function namesIn(url: string): readonly string[] | undefined {
  const { pathname } = new URL(url)
  const path = pathname === '/' ? 'index.html' : /^\/page\/(.+)$/.exec(pathname)?.[1]
  try {
    const names = path?.split('/').map(decodeURIComponent)
    return names?.every((name) => /^[\w-][\w.-]*$/.test(name)) === true ? names : undefined
  } catch {
    return undefined
  }
}

/** Links are followed only within the folder. */
async function find(folder: string, names: readonly string[]): Promise<string | undefined> {
  try {
    const root = await realpath(folder)
    const file = await realpath(join(root, ...names))
    if (!file.startsWith(root + sep) || TYPES[extname(file)] === undefined) return undefined
    return (await stat(file)).isFile() ? file : undefined
  } catch {
    return undefined
  }
}
