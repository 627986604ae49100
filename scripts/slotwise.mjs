import { withNode } from './node-version.mjs'

withNode(() => import('./slotwise-run.mjs'))
