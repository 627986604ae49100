/** Postgres: connections, schema, migrations. Knows nothing of the rest of the service but where to note timings. */
export { type Database, type DatabaseOptions, openDatabase } from './database.js'
export { type Migration, migrate } from './migrate.js'
export { PLAN_NAMES, type PlanName, type Schema } from './schema.js'
