import { randomBytes } from 'node:crypto'
import { slotsOf } from '../../src/cluster/view.js'
import type { Answer, ScriptedCluster, ScriptedNode } from './scripted-cluster.js'

/**
 * Atomic migration as `src/cluster_asm.c` of Redis 8.4 and `src/cluster_migrateslots.c` of Valkey 9 define it: their
 * commands, fields, states, refusals and reasons. Nothing moves by itself: each time a migration is asked about, it
 * goes on by one state, unless the test holds it.
 */
export interface ScriptedMigrations {
  /** Name under which COMMAND INFO knows it. */
  readonly command: string
  readonly jobs: ScriptedJob[]
  readonly script: Script
  /** Lines of CLUSTER INFO. */
  info(): string
  answer(name: string, args: readonly string[]): Answer | undefined
}

/** What is to happen to migrations that this node is asked for. */
interface Script {
  /** The state at which every migration stays while this is set. */
  holdAt?: string | undefined
  /** Refusals of the next commands that would begin one. */
  refuse: string[]
  /** Reasons for which the next attempts fail, when they have come as far as sending keys. */
  fail: string[]
  /** The other end gives up waiting for the handover: the slots are the target's, but the source took writes again. */
  sourceGaveUp?: boolean
  /** So many more times that it is asked, the node says that it is removing keys of slots that it has no more. */
  trimming?: number
}

export interface ScriptedJob {
  readonly id: string
  readonly slots: readonly number[]
  readonly ranges: string
  readonly source: ScriptedNode
  readonly target: ScriptedNode
  readonly operation: string
  state: string
  reason: string
  retries: number
}

const IMPORT = [
  'none',
  'connecting',
  'auth-reply',
  'send-handshake',
  'handshake-reply',
  'send-syncslots',
  'syncslots-reply',
  'init-rdbchannel',
  'accumulate-buffer',
  'ready-to-stream',
  'streaming-buffer',
  'wait-stream-eof',
  'takeover',
]

const EXPORT = [
  'connecting',
  'sending-establish-command',
  'reading-establish-response',
  'waiting-to-snapshot',
  'snapshotting',
  'replicating',
  'failover-paused',
  'failover-granted',
]

function parsed(args: readonly string[]): { readonly ranges: string; readonly slots: readonly number[] } {
  const pairs = Array.from(
    { length: args.length / 2 },
    (_, i) => [Number(args[i * 2]), Number(args[i * 2 + 1])] as const,
  )
  return { ranges: pairs.map((pair) => pair.join('-')).join(' '), slots: slotsOf(pairs) }
}

const newId = () => randomBytes(20).toString('hex')
const isOpen = (node: ScriptedNode) => node.migrating.size + node.importing.size > 0
const map = (fields: Readonly<Record<string, string | number>>): Answer => Object.entries(fields).flat()

/** `CLUSTER MIGRATION`, which the target is sent. A task that failed is begun again, and stays listed. */
export function scriptedRedis(node: ScriptedNode, cluster: ScriptedCluster): ScriptedMigrations {
  const jobs: ScriptedJob[] = []
  const script: Script = { refuse: [], fail: [] }
  const isOver = ({ state }: ScriptedJob) => state === 'completed' || state === 'canceled'

  const begin = (args: readonly string[]): Answer => {
    const refusal = script.refuse.shift()
    if (refusal !== undefined) return new Error(`ERR ${refusal}`)
    const { ranges, slots } = parsed(args)
    if (isOpen(node)) return new Error('ERR all slot states must be STABLE to start a slot migration task.')
    const owners = new Set(slots.map((slot) => cluster.nodes.find(({ owned }) => owned.has(slot))))
    const [source] = owners
    if (owners.size > 1 || source === undefined)
      return new Error('ERR slots belong to different source nodes')
    if (source === node) return new Error('ERR this node is already the owner of the slot range')
    const current = jobs.find((job) => !isOver(job))
    if (current !== undefined && current.state !== 'failed') {
      return new Error('ERR another ASM task is already in progress')
    }
    if (current !== undefined) end(current, 'new import requested')
    const job = { id: newId(), slots, ranges, source, target: node, state: 'none', reason: '', retries: 0 }
    jobs.unshift({ ...job, operation: 'import' })
    source.migrations?.jobs.unshift({ ...job, operation: 'migrate', state: 'send-bulk-and-stream' })
    return job.id
  }
  const otherOf = (job: ScriptedJob) => job.source.migrations?.jobs.find(({ id }) => id === job.id)
  const end = (job: ScriptedJob, why: string) => {
    job.reason = `Cancelled due to ${why} (state: ${job.state}, rdb_channel_state: none)`
    job.state = 'canceled'
    const other = otherOf(job)
    if (other !== undefined && other !== job)
      Object.assign(other, { state: 'failed', reason: 'Main and RDB channel clients are disconnected.' })
  }
  const advance = (job: ScriptedJob) => {
    if (job.operation !== 'import' || isOver(job) || job.state === script.holdAt) return
    if (job.state === 'failed') {
      Object.assign(job, { state: 'none', retries: job.retries + 1 })
      return
    }
    const failure = job.state === 'accumulate-buffer' ? script.fail.shift() : undefined
    if (failure !== undefined) {
      job.reason = `${failure} (state: ${job.state}, rdb_channel_state: rdbchannel-transfer)`
      job.state = 'failed'
      return
    }
    const next = IMPORT[IMPORT.indexOf(job.state) + 1]
    if (next !== undefined) {
      job.state = next
      return
    }
    cluster.handOver(job.slots, job.source, job.target)
    job.state = 'completed'
    const other = otherOf(job)
    if (other === undefined) return
    other.state = script.sourceGaveUp ? 'failed' : 'completed'
    if (script.sourceGaveUp) {
      other.reason =
        'Write pause timeout during slot handoff: destination did not take ownership within 10000 ms. (state: stream-eof, rdb_channel_state: completed)'
    }
  }
  const status = (job: ScriptedJob): Answer => {
    advance(job)
    return map({
      id: job.id,
      slots: job.ranges,
      source: job.source.id,
      dest: job.target.id,
      operation: job.operation,
      state: job.state,
      last_error: job.reason,
      retries: job.retries,
      create_time: 1,
      start_time: 1,
      end_time: isOver(job) ? 2 : -1,
      write_pause_ms: 0,
    })
  }
  const answer = (name: string, args: readonly string[]): Answer | undefined => {
    if (name !== 'MIGRATION') return undefined
    const [verb, which, id] = args
    const meant = which === 'ALL' ? [...jobs] : jobs.filter((job) => job.id === id)
    if (verb === 'IMPORT') return begin(args.slice(1))
    if (verb === 'STATUS') return meant.map(status)
    if (verb !== 'CANCEL') return new Error('ERR unknown argument')
    const open = meant.filter((job) => !isOver(job))
    for (const job of open) end(job, 'user request')
    return open.length
  }
  const info = () => {
    const left = script.trimming ?? 0
    script.trimming = Math.max(0, left - 1)
    return `cluster_slot_migration_active_trim_running:${Math.min(left, 1)}\r\n`
  }
  return { command: 'cluster|migration', jobs, script, info, answer }
}

/** `CLUSTER MIGRATESLOTS` and its kin, which the source is sent. A job that failed stays so. */
export function scriptedValkey(node: ScriptedNode, cluster: ScriptedCluster): ScriptedMigrations {
  const jobs: ScriptedJob[] = []
  const script: Script = { refuse: [], fail: [] }
  const isOver = ({ state }: ScriptedJob) => ['success', 'failed', 'cancelled'].includes(state)

  const begin = (args: readonly string[]): Answer => {
    const refusal = script.refuse.shift()
    if (refusal !== undefined) return new Error(`ERR ${refusal}`)
    if (node.importing.size > 0) return new Error('ERR Slots are being manually imported')
    if (node.migrating.size > 0) return new Error('ERR Slots are being manually migrated')
    const at = args.indexOf('NODE')
    if (args[0] !== 'SLOTSRANGE' || at < 0) return new Error('ERR syntax error')
    const { ranges, slots } = parsed(args.slice(1, at))
    if (slots.some((slot) => !node.owned.has(slot)))
      return new Error('ERR Slots are not served by this node.')
    const busy = slots.find((slot) => jobs.some((job) => !isOver(job) && job.slots.includes(slot)))
    if (busy !== undefined) return new Error(`ERR I am already migrating slot ${busy}.`)
    const target = cluster.byId(args[at + 1] ?? '')
    if (target === undefined) return new Error(`ERR Unknown node name: ${args[at + 1] ?? ''}`)
    const job = { id: newId(), slots, ranges, source: node, target, reason: '', retries: 0 }
    jobs.unshift({ ...job, operation: 'EXPORT', state: 'connecting' })
    target.migrations?.jobs.unshift({ ...job, operation: 'IMPORT', state: 'receiving-snapshot' })
    return { ok: 'OK' }
  }
  const finish = (job: ScriptedJob, state: string, reason: string) => {
    Object.assign(job, { state, reason })
    const other = job.target.migrations?.jobs.find(({ id }) => id === job.id)
    if (other === undefined) return
    const lost =
      'Connection lost to source. Check CLUSTER GETSLOTMIGRATIONS on the source node for more information.'
    // What came is removed first.
    Object.assign(other, state === 'success' ? { state } : { state: 'cleaning-up', reason: lost })
  }
  const advance = (job: ScriptedJob) => {
    if (isOver(job) || job.state === script.holdAt) return
    if (job.operation === 'IMPORT') {
      if (job.state === 'cleaning-up') job.state = 'failed'
      return
    }
    const failure = job.state === 'snapshotting' ? script.fail.shift() : undefined
    if (failure !== undefined) return finish(job, 'failed', failure)
    const next = EXPORT[EXPORT.indexOf(job.state) + 1]
    if (next !== undefined) {
      job.state = next
      return
    }
    cluster.handOver(job.slots, job.source, job.target)
    finish(job, 'success', '')
    if (script.sourceGaveUp) {
      job.state = 'failed'
      job.reason = 'Unpaused before migration completed (migration may have succeeded with lost writes)'
    }
  }
  const listed = (job: ScriptedJob): Answer => {
    advance(job)
    return map({
      name: job.id,
      operation: job.operation,
      slot_ranges: job.ranges,
      target_node: job.target.id,
      source_node: job.source.id,
      create_time: 1,
      last_update_time: 1,
      last_ack_time: 1,
      state: job.state,
      message: job.reason,
      cow_size: 0,
    })
  }
  const answer = (name: string, args: readonly string[]): Answer | undefined => {
    if (name === 'MIGRATESLOTS') return begin(args)
    if (name === 'GETSLOTMIGRATIONS') return jobs.map(listed)
    if (name !== 'CANCELSLOTMIGRATIONS') return undefined
    const open = jobs.filter((job) => job.operation === 'EXPORT' && !isOver(job))
    if (open.length === 0) return new Error('ERR No migrations ongoing')
    for (const job of open) finish(job, 'cancelled', '')
    return { ok: 'OK' }
  }
  return { command: 'cluster|migrateslots', jobs, script, info: () => '', answer }
}
