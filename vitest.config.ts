import { defineConfig } from 'vitest/config'

// Sources import each other by the condition `slotwise-source`, so that nothing needs a build to be tested.
// Not `import`: node would take it for `require` too, and load the wrong half of packages that have both.
const conditions = ['slotwise-source', 'node']
const source = { resolve: { conditions }, ssr: { resolve: { conditions, externalConditions: conditions } } }

// Full counts take as long as they take.
const soak = process.env['SLOTWISE_SOAK'] === undefined ? {} : { testTimeout: 1_200_000 }

/** Most tests wait for servers rather than compute, so there are more workers than two cores. */
const WAITING = { maxWorkers: 3 }
/** Whoever starts whole services and commands keeps a core busy for each. */
const STARTING = { maxWorkers: 2 }
/**
 * Those that take nodes away or watch the clock run one at a time, so that what they measure is the product and not the
 * neighbour. Their files share their process: to load the sources anew for each takes longer than many of them run. A file
 * that replaces a module (`vi.mock`) cannot be among them.
 */
const WATCHING = { maxWorkers: 1, isolate: false }

/** Of those, files that mostly wait until servers have agreed on who is gone, and ask of no moment when it is. */
const FAILOVERS =
  '{doctor,lock-forgotten,lock-sentinels,migration,ratelimit-clock,scaling,sentinel,takeover}.test.ts'

/** Groups run one after the other, the cheap ones first. All of a group have the same number of workers. */
const project = (name: string, include: string, order: number, more: object = {}) => ({
  ...source,
  test: { name, include: [include], sequence: { groupOrder: order }, testTimeout: 10_000, ...more, ...soak },
})

/**
 * The oldest client libraries that the adapters are for, in the place of those that they are built with: the suite
 * that both adapters share, and under `npm run soak -- clients` whatever is about the port.
 */
const oldClients = () => {
  const isAll = process.env['SLOTWISE_OLD_CLIENTS'] === 'all'
  const faults = '{redis,redis-doubt,connections,partition,subscriptions,borrowed,exactly-once,sentinel}'
  const include = isAll ? `{cluster/redis/*,faults/${faults}}.test.ts` : 'cluster/redis/port.test.ts'
  return {
    ...project('clients', `packages/slotwise/test/${include}`, 1, {
      globalSetup: 'packages/slotwise/test/support/cluster-setup.ts',
      ...(isAll ? { maxWorkers: 1 } : WAITING),
      testTimeout: 60_000,
    }),
    resolve: { conditions, alias: { ioredis: 'ioredis-5', redis: 'redis-5' } },
  }
}

export default defineConfig({
  ...source,
  test: {
    projects: [
      project('unit', 'packages/slotwise/test/unit/**/*.test.ts', 0),
      project('scripts', 'scripts/test/**/*.test.ts', 0, { testTimeout: 60_000 }),
      project('cluster', 'packages/slotwise/test/cluster/**/*.test.ts', 1, {
        // What needs a clock to turn, or a server that is away, is in memory only.
        exclude: ['**/ratelimit/{adversary,calendar,clock,lease,mutants.model,naive,unavailable}.test.ts'],
        globalSetup: 'packages/slotwise/test/support/cluster-setup.ts',
        testTimeout: 30_000,
        ...WAITING,
      }),
      // The same promises of the patterns, kept by their twins.
      project(
        'memory',
        'packages/slotwise/test/cluster/{cache,invalidation,lock,ratelimit,writebehind}/*.test.ts',
        1,
        {
          // Of memory, of bytes on the way, of rights, of who listens, of several processes, of what a failover loses and of what it tells unasked, only a server knows.
          exclude: [
            '**/{asking-processes,lease-processes,listening,lost-replies,memory-usage,rights}.test.ts',
            '**/lost-change.test.ts',
            '**/writebehind/{durability,memory-room}.test.ts',
            '**/{audit,everywhere,hot,local,local-tags,local-trace,rarely-read,seed-levels,suspect,track-changes}.test.ts',
          ],
          provide: { inMemory: true },
          ...WAITING,
        },
      ),
      oldClients(),
      project('cli', 'packages/cli/test/**/*.test.ts', 2, {
        globalSetup: 'packages/cli/test/support/setup.ts',
        testTimeout: 30_000,
        ...STARTING,
      }),
      project('comments', 'apps/comments/test/**/*.test.ts', 2, {
        globalSetup: 'apps/comments/test/support/setup.ts',
        testTimeout: 30_000,
        ...STARTING,
      }),
      project('faults', 'packages/slotwise/test/faults/**/*.test.ts', 3, {
        exclude: [`**/${FAILOVERS}`],
        testTimeout: 60_000,
        ...WATCHING,
      }),
      project('failovers', `packages/slotwise/test/faults/${FAILOVERS}`, 4, {
        testTimeout: 60_000,
        maxWorkers: 3,
      }),
      project('deploy', 'deploy/test/**/*.test.ts', 5, { testTimeout: 60_000, ...STARTING }),
      project('package', 'packages/slotwise/test/package/**/*.test.ts', 5, {
        testTimeout: 60_000,
        ...STARTING,
      }),
      project('start', 'test/start/**/*.test.ts', 5, { testTimeout: 180_000, ...STARTING }),
    ],
  },
})
