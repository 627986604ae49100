import { withNode } from './node-version.mjs'

withNode(() => import('./start-service.mjs'))
