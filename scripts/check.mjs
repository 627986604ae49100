import { withNode } from './node-version.mjs'

withNode(() => import('./check-run.mjs'))
