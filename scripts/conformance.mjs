import { withNode } from './node-version.mjs'

withNode(() => import('./conformance-run.mjs'))
