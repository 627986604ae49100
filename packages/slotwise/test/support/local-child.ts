import { startLocalCluster } from '../../src/local/index.js'

// A process of its own that starts a cluster and is then at the mercy of a test.
const [mode, dir] = process.argv.slice(2)
const cluster = await startLocalCluster({ dir })
process.stdout.write(`${JSON.stringify(cluster.nodes.map(({ pid }) => pid))}\n`)
if (mode === 'wait') setInterval(() => {}, 1000)
