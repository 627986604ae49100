/** The same on Next 15, whose `revalidateTag` has no profiles and whose Cache Components are an experiment. */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { application } from './next-application.js'
import { at } from './next-stage.js'

/** The application, beside the packages of the older Next. */
const folder = at('next-15/.copy')
rmSync(folder, { recursive: true, force: true })
for (const part of [
  'app',
  'pages',
  'cache.mjs',
  'cache-handler.mjs',
  'use-cache.mjs',
  'limit.mjs',
  'origin.mjs',
]) {
  cpSync(at(`next/${part}`), join(folder, part), { recursive: true })
}
cpSync(at('next-15/next.config.mjs'), join(folder, 'next.config.mjs'))

const next = at('next-15/node_modules/next/dist/bin/next')
application({ folder, next, apps: ['.'] }, { keepsStale: false })
