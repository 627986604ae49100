import { withNode } from './node-version.mjs'

withNode(() => import('./test-run.mjs'))
