/** Postgres: connections, schema, migrations. Knows nothing of the rest of the service but where to note timings. */
export { type Database, openDatabase } from './database.js'
export { migrate } from './migrate.js'
export { PLAN_NAMES, type PlanName, type Schema } from './schema.js'
