import { connect } from 'node:net'
import { startLocalCluster } from '../../src/local/index.js'
import { proxied } from '../../src/testing/faults/index.js'

// A process of its own that starts a cluster and is then at the mercy of a test.
const [mode, dir] = process.argv.slice(2)
const cluster = await startLocalCluster({ dir, networkFaults: mode === 'end-with-faults' })
process.stdout.write(`${JSON.stringify(cluster.nodes.map(({ pid }) => pid))}\n`)
if (mode === 'end-with-faults') {
  await cluster.isolate(0)
  const { proxies } = await proxied(cluster.connectOptions)
  for (const { port } of proxies) connect(port, '127.0.0.1').unref().write('PING\r\n')
  for (const proxy of proxies) proxy.delay(60_000)
}
if (mode === 'wait') setInterval(() => {}, 1000)
