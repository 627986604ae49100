import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type MoveSlotsOptions, moveSlots, rebalance, removeNode } from '../../../src/cluster/index.js'
import {
  ConfigurationError,
  KeyTooLargeError,
  SlotMigrationError,
  UnhealthyClusterError,
} from '../../../src/errors.js'
import { ScriptedCluster, type ScriptedNode } from '../../support/scripted-cluster.js'

/** Of the first node, to the last one. */
const RANGES = [
  [0, 9],
  [20, 29],
] as const
const SLOTS = RANGES.flatMap(([first]) => Array.from({ length: 10 }, (_, i) => first + i))

const DIALECTS = [
  { dialect: 'redis', begins: 'CLUSTER MIGRATION IMPORT', failing: 'RDB channel - Connection is closed' },
  {
    dialect: 'valkey',
    begins: 'CLUSTER MIGRATESLOTS',
    failing:
      'Connection lost to target. Check CLUSTER GETSLOTMIGRATIONS on the target node for more information.',
  },
] as const

// What no server at hand can do is played by one that follows the documentation and the sources of the real ones.
describe.each(DIALECTS)(
  'atomic migration of $dialect, against a scripted server, from the documentation; not run on a real one',
  ({ dialect, begins, failing }) => {
    async function scene() {
      const cluster = await ScriptedCluster.start(dialect, dialect, dialect)
      const [source, target] = [cluster.node(0), cluster.node(2)]
      const at = dialect === 'redis' ? target : source
      const { migrations } = at
      expect.assert(migrations !== undefined)
      cluster.fill(SLOTS)
      const [node = '', , to = ''] = cluster.addresses
      const steps: string[] = []
      const going: number[] = []
      const renewed: number[] = []
      const options: MoveSlotsOptions = {
        nodes: [node],
        to,
        slots: RANGES,
        onProgress: ({ step }) => steps.push(step),
        beforeMove: (slots) => void going.push(...slots),
        afterLosslessMove: (slots) => void renewed.push(...slots),
      }
      return {
        cluster,
        source,
        target,
        at,
        script: migrations.script,
        jobs: migrations.jobs,
        options,
        steps,
        going,
        renewed,
        /** Waits for a migration to have come to the state at which it is held. */
        held: () => expect.poll(() => migrations.jobs[0]?.state).toBe(migrations.script.holdAt),
        [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
      }
    }

    const ownedBy = (node: ScriptedNode) => SLOTS.filter((slot) => node.owned.has(slot))
    const openAt = (cluster: ScriptedCluster) =>
      cluster.nodes.flatMap((node) => [...node.migrating.keys(), ...node.importing.keys()])
    const isUnderWay = (cluster: ScriptedCluster) =>
      cluster.nodes
        .flatMap((node) => node.migrations?.jobs ?? [])
        .some(({ state }) => !['completed', 'canceled', 'success', 'failed', 'cancelled'].includes(state))

    it('moves ranges with their keys at once, and half moves no slot', async () => {
      await using s = await scene()
      expect(await moveSlots(s.options)).toMatchObject({
        slotsMoved: 20,
        slotsMovedAtomically: 20,
        keysMoved: 20,
        fellBack: [],
        lossless: true,
      })
      expect(ownedBy(s.target)).toEqual(SLOTS)
      expect(s.target.keys.size).toBe(20)
      expect(s.going).toEqual(SLOTS)
      expect(s.renewed).toEqual(SLOTS)
      expect(s.at.log.filter((line) => line.startsWith(begins))).toEqual([
        dialect === 'redis' ? `${begins} 0 9 20 29` : `${begins} SLOTSRANGE 0 9 20 29 NODE ${s.target.id}`,
      ])
      for (const node of s.cluster.nodes) {
        expect(node.asked('CLUSTER SETSLOT') + node.asked('MIGRATE')).toBe(0)
      }
      const told = dialect === 'redis' ? 'accumulate-buffer' : 'snapshotting'
      expect(s.steps.some((step) => step.endsWith(`atomically: ${told}`))).toBe(true)
      expect(await moveSlots(s.options)).toMatchObject({ plan: [], slotsMoved: 0 })
    })

    it('is what rebalancing and emptying a node use too', async () => {
      await using cluster = await ScriptedCluster.start(dialect, dialect, dialect, dialect)
      const [node = '', , , leaving = ''] = cluster.addresses
      cluster.assign(
        Array.from({ length: 30 }, (_, i) => 16_383 - i),
        cluster.node(0).id,
      )
      expect(await rebalance({ nodes: [node], method: 'atomic' })).toMatchObject({
        slotsMoved: 30,
        slotsMovedAtomically: 30,
      })
      cluster.assign(
        Array.from({ length: 4000 }, (_, i) => 12_288 + i),
        cluster.node(0).id,
      )
      const removed = await removeNode({ nodes: [node], node: leaving })
      expect(removed).toMatchObject({ slotsMoved: 96, slotsMovedAtomically: 96 })
      expect(cluster.node(3).owned.size).toBe(0)
    })

    it('is not begun where whoever is told of it before refuses', async () => {
      await using s = await scene()
      const beforeMove = () => Promise.reject(new Error('not now'))
      await expect(moveSlots({ ...s.options, beforeMove })).rejects.toThrow('not now')
      expect(s.jobs).toEqual([])
      expect(ownedBy(s.source)).toEqual(SLOTS)
    })

    it('is not used where it is not wanted', async () => {
      await using s = await scene()
      expect(await moveSlots({ ...s.options, method: 'classic' })).toMatchObject({
        slotsMoved: 20,
        slotsMovedAtomically: 0,
        fellBack: [],
      })
      expect(s.jobs).toEqual([])
      expect(ownedBy(s.target)).toEqual(SLOTS)
    })

    it('goes on after failures that pass, and tells of them', async () => {
      await using s = await scene()
      s.script.fail = [failing, failing]
      expect(await moveSlots({ ...s.options, method: 'atomic' })).toMatchObject({
        slotsMoved: 20,
        fellBack: [],
      })
      expect(s.renewed).toEqual(SLOTS)
      expect(dialect === 'redis' ? s.jobs[0]?.retries : s.jobs.length - 1).toBe(2)
      expect(s.steps.some((step) => /failed/.test(step))).toBe(true)
    })

    it('goes the classic way when it fails for good, and says why in the words of the server', async () => {
      await using s = await scene()
      s.script.fail = Array.from({ length: 50 }, () => failing)
      const moved = await moveSlots(s.options)
      expect(moved).toMatchObject({ slotsMoved: 20, slotsMovedAtomically: 0, keysMoved: 20, lossless: true })
      expect(moved.fellBack).toEqual([{ ...moved.plan[0], reason: expect.stringContaining(failing) }])
      expect(ownedBy(s.target)).toEqual(SLOTS)
      expect(s.target.keys.size).toBe(20)
      expect(isUnderWay(s.cluster)).toBe(false)
      expect(openAt(s.cluster)).toEqual([])
      expect(s.steps.some((step) => step.includes('the classic way') && step.includes(failing))).toBe(true)
    }, 20_000)

    it('is an error with the words of the server where no other way is allowed, and has moved nothing', async () => {
      await using s = await scene()
      s.script.fail = Array.from({ length: 50 }, () => failing)
      const error: unknown = await moveSlots({ ...s.options, method: 'atomic' }).catch(
        (thrown: unknown) => thrown,
      )
      expect.assert(error instanceof SlotMigrationError)
      expect(error).toMatchObject({ slots: '0-9 20-29', reason: expect.stringContaining(failing) })
      expect(ownedBy(s.source)).toEqual(SLOTS)
      expect(isUnderWay(s.cluster)).toBe(false)
    }, 20_000)

    it('goes the classic way at once where the user may not begin one', async () => {
      await using s = await scene()
      s.at.forbidden.add(dialect === 'redis' ? 'CLUSTER|MIGRATION' : 'CLUSTER|MIGRATESLOTS')
      const moved = await moveSlots(s.options)
      expect(moved.fellBack).toMatchObject([{ reason: expect.stringContaining('NOPERM') }])
      expect(ownedBy(s.target)).toEqual(SLOTS)
      expect(s.at.asked(begins)).toBe(1)
    })

    it('is cancelled by the signal, and leaves nothing open at either end', async () => {
      await using s = await scene()
      s.script.holdAt = dialect === 'redis' ? 'accumulate-buffer' : 'snapshotting'
      const stopping = new AbortController()
      const moving = moveSlots({ ...s.options, signal: stopping.signal })
      await Promise.all([
        expect(moving).rejects.toThrow('stopped here'),
        s.held().then(() => stopping.abort(new Error('stopped here'))),
      ])
      expect(ownedBy(s.source)).toEqual(SLOTS)
      expect(isUnderWay(s.cluster)).toBe(false)
      expect(openAt(s.cluster)).toEqual([])
      expect(s.jobs[0]?.state).toBe(dialect === 'redis' ? 'canceled' : 'cancelled')
      s.script.holdAt = undefined
      expect(await moveSlots(s.options)).toMatchObject({ slotsMoved: 20, lossless: true })
    })

    it('goes on without us, and the next run waits for it instead of beginning another', async () => {
      await using s = await scene()
      s.script.holdAt = dialect === 'redis' ? 'accumulate-buffer' : 'snapshotting'
      const moving = moveSlots(s.options)
      await Promise.all([
        expect(moving).rejects.toThrow(UnhealthyClusterError),
        s.held().then(() => s.at.cutConnections()),
      ])
      expect(s.renewed).toEqual([])
      const again = moveSlots(s.options)
      await sleep(200)
      expect(isUnderWay(s.cluster)).toBe(true)
      s.script.holdAt = undefined
      expect(await again).toMatchObject({ plan: [], slotsMoved: 20, slotsMovedAtomically: 20 })
      expect(s.at.asked(begins)).toBe(1)
      expect(s.going).toEqual([...SLOTS, ...SLOTS])
      expect(s.renewed).toEqual(SLOTS)
    })

    it('is waited for by an operation that is to go the classic way, and left alone by a dry run', async () => {
      await using s = await scene()
      s.script.holdAt = dialect === 'redis' ? 'accumulate-buffer' : 'snapshotting'
      const first = moveSlots(s.options)
      await s.held()
      expect(await moveSlots({ ...s.options, dryRun: true })).toMatchObject({ slotsMoved: 0 })
      const more = { ...s.options, slots: [[40, 41]], method: 'classic' } as const
      // While the one who began it is there, it is theirs.
      await expect(moveSlots(more)).rejects.toThrow(/somebody else is moving slots/)
      for (const node of s.cluster.nodes) node.cutConnections()
      await expect(first).rejects.toThrow(/closed the connection|stopped answering/)
      const second = moveSlots(more)
      await sleep(200)
      expect(s.source.asked('CLUSTER SETSLOT')).toBe(0)
      s.script.holdAt = undefined
      expect(await second).toMatchObject({ slotsMoved: 22, slotsMovedAtomically: 20 })
      expect(s.target.owned.has(40)).toBe(true)
    })

    it('is not done another way when somebody cancels it', async () => {
      await using s = await scene()
      s.script.holdAt = dialect === 'redis' ? 'accumulate-buffer' : 'snapshotting'
      const moving = moveSlots(s.options)
      await Promise.all([
        expect(moving).rejects.toThrow(/it was cancelled/),
        s.held().then(() => {
          if (dialect === 'redis') s.at.migrations?.answer('MIGRATION', ['CANCEL', 'ALL'])
          else s.at.migrations?.answer('CANCELSLOTMIGRATIONS', [])
        }),
      ])
      expect(ownedBy(s.source)).toEqual(SLOTS)
    })

    it('is not called lossless when the source gave up waiting for the target', async () => {
      await using s = await scene()
      s.script.sourceGaveUp = true
      expect(await moveSlots(s.options)).toMatchObject({ slotsMoved: 20, lossless: false })
      expect(s.renewed).toEqual([])
      expect(ownedBy(s.target)).toEqual(SLOTS)
    })

    it('is not called lossless when an end was promoted meanwhile', async () => {
      await using s = await scene()
      const onProgress = () => void (s.target.promotedFrom = 'f'.repeat(40))
      expect(await moveSlots({ ...s.options, onProgress })).toMatchObject({ slotsMoved: 20, lossless: false })
      expect(s.renewed).toEqual([])
    })

    it('meets the migration of somebody else by stepping back', async () => {
      await using s = await scene()
      s.script.refuse = Array.from({ length: 3 }, () => 'another ASM task is already in progress')
      // Begun after we had looked.
      const onProgress = () => {
        s.script.holdAt = 'connecting'
        if (s.jobs.length > 0) return
        const operation = dialect === 'redis' ? 'import' : 'EXPORT'
        const [source, target] = [s.source, s.target]
        const job = {
          id: 'a'.repeat(40),
          slots: [50],
          ranges: '50-50',
          source,
          target,
          reason: '',
          retries: 0,
        }
        s.jobs.push({ ...job, operation, state: 'connecting' })
      }
      await expect(moveSlots({ ...s.options, onProgress })).rejects.toThrow(
        /somebody else is migrating slots 50-50/,
      )
      expect(ownedBy(s.source)).toEqual(SLOTS)
      expect(openAt(s.cluster)).toEqual([])
    })

    it('does not mind large keys, which the classic way refuses', async () => {
      await using s = await scene()
      const limited = { ...s.options, maxKeyBytes: 10 }
      await expect(moveSlots({ ...limited, method: 'classic' })).rejects.toThrow(KeyTooLargeError)
      expect(openAt(s.cluster)).toEqual([])
      expect(await moveSlots({ ...limited, method: 'atomic' })).toMatchObject({ slotsMoved: 20 })
    })

    it('is refused by name where only one end has it, and not used', async () => {
      for (const other of ['none', dialect === 'redis' ? 'valkey' : 'redis'] as const) {
        await using cluster = await ScriptedCluster.start(dialect, dialect, other)
        cluster.fill(SLOTS)
        const [node = '', , to = ''] = cluster.addresses
        const request = { nodes: [node], to, slots: RANGES }
        for (const dryRun of [true, false]) {
          const moving = moveSlots({ ...request, method: 'atomic', dryRun })
          await expect(moving).rejects.toThrow(/Redis has it from 8\.4, Valkey from 9/)
          await expect(moving).rejects.toThrow(ConfigurationError)
        }
        expect(cluster.node(0).owned.has(0)).toBe(true)
        expect(await moveSlots(request)).toMatchObject({
          slotsMoved: 20,
          slotsMovedAtomically: 0,
          fellBack: [],
        })
      }
    })

    it('finishes slots that stand open the classic way, which no migration could begin beside', async () => {
      await using s = await scene()
      s.source.migrating.set(5, s.target.id)
      s.target.importing.set(5, s.source.id)
      expect(await moveSlots(s.options)).toMatchObject({
        slotsMoved: 20,
        slotsMovedAtomically: 19,
        keysMoved: 20,
      })
      expect(openAt(s.cluster)).toEqual([])
    })

    it('is over at its target before keys come the classic way, which would be removed with what it left', async () => {
      await using s = await scene()
      const { script, jobs } = s.target.migrations ?? {}
      expect.assert(script !== undefined && jobs !== undefined)
      if (dialect === 'redis') script.trimming = 1000
      else {
        const [source, target] = [s.source, s.target]
        const job = {
          id: 'b'.repeat(40),
          slots: [50],
          ranges: '50-50',
          source,
          target,
          reason: '',
          retries: 0,
        }
        jobs.push({ ...job, operation: 'IMPORT', state: 'receiving-snapshot' })
      }
      const classic = { ...s.options, method: 'classic' } as const
      await expect(moveSlots({ ...classic, timeoutMs: 300 })).rejects.toThrow(/is still (removing|importing)/)
      expect(openAt(s.cluster)).toEqual([])
      script.trimming = 0
      for (const job of jobs) job.state = 'cleaning-up'
      expect(await moveSlots(classic)).toMatchObject({ slotsMoved: 20, keysMoved: 20 })
    })
  },
)
