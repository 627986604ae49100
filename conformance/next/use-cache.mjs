import { cache } from './cache.mjs'

export default cache.useCache
