import { withNode } from './node-version.mjs'

withNode(() => import('./bench-run.mjs'))
