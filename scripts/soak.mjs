import { withNode } from './node-version.mjs'

withNode(() => import('./soak-run.mjs'))
