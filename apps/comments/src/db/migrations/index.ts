import { comments } from './0001_comments.js'
import { imports } from './0002_import.js'
import { outbox } from './0003_outbox.js'
import { behind } from './0004_behind.js'
import { recounts } from './0005_recounts.js'
import type { Migration } from './migration.js'

/** In the order in which they are run. */
export const migrations: readonly Migration[] = [comments, imports, outbox, behind, recounts]
