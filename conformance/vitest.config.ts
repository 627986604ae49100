import { defineConfig } from 'vitest/config'

// As the repository's own: sources by the condition, so that nothing has to be built.
const conditions = ['slotwise-source', 'node']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: { include: ['*.suite.ts'], testTimeout: 10_000, fileParallelism: false },
})
