import { type Found, found } from './finding.js'
import { figure, type NodeObservation, type Observed, ownersOf } from './observation.js'

/** Primaries that answer and take no writes, each with the error that callers see. */
export function writes(seen: Observed): Found[] {
  return ownersOf(seen).flatMap((node) => [...tooFewReplicas(node), ...failedSave(node), ...full(node)])
}

function tooFewReplicas({ name, config, info }: NodeObservation): Found[] {
  const wanted = figure(config, 'min-replicas-to-write') ?? 0
  const good = figure(info, 'min_slaves_good_slaves')
  if (wanted === 0 || good === undefined || good >= wanted) return []
  const evidence = `${name} answers writes with NOREPLICAS: ${good} good replicas, min-replicas-to-write ${wanted}`
  return [found('writes-need-replicas', name, evidence, { good })]
}

function failedSave({ name, config, info }: NodeObservation): Found[] {
  const stops = config.get('stop-writes-on-bgsave-error') === 'yes' && (config.get('save') ?? '') !== ''
  const isSaveFailed = stops && info.get('rdb_last_bgsave_status') === 'err'
  const isLogFailed = info.get('aof_enabled') === '1' && info.get('aof_last_write_status') === 'err'
  if (!isSaveFailed && !isLogFailed) return []
  const what = isLogFailed ? 'aof_last_write_status:err' : 'rdb_last_bgsave_status:err'
  return [found('writes-need-disk', name, `${name} answers writes with MISCONF: ${what}`)]
}

/** Beyond its limit a server that does not evict refuses whatever needs memory. */
function full({ name, info }: NodeObservation): Found[] {
  const limit = figure(info, 'maxmemory') ?? 0
  const used = (figure(info, 'used_memory') ?? 0) - (figure(info, 'mem_not_counted_for_evict') ?? 0)
  if (limit === 0 || used < limit || info.get('maxmemory_policy') !== 'noeviction') return []
  return [
    found('memory-full', name, `${name} answers writes with OOM: ${used} bytes used, maxmemory ${limit}`, {
      more: Math.ceil((used * 2) / 2 ** 20),
    }),
  ]
}
