import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { Bounds, nodeLabels, OTHER } from '../../src/measure.js'
import { bucketsOf, labelName, METRICS, type MetricName, prometheusName } from '../../src/metrics.js'
import { areCallsHeard, areStartsHeard, CHANNELS, type Events, hear, publish } from '../../src/telemetry.js'

const repository = fileURLToPath(new URL('../../../../', import.meta.url))
const read = (path: string) => readFileSync(join(repository, path), 'utf8')
const page = read('docs/observability.md')
const names = Object.keys(METRICS) as MetricName[]

/** The table of docs/observability.md. */
function table(): string {
  const rows = names.map((name) => {
    const { kind, unit, labels, means, alert } = METRICS[name]
    const kinds = kind === 'updowncounter' ? 'gauge (up-down counter)' : kind
    const listed = labels.map((label) => `\`${label}\``).join(', ')
    return `| \`${name}\`<br>\`${prometheusName(name)}\` | ${kinds} | ${unit} | ${listed} | ${means} | ${alert} |`
  })
  return ['| name | kind | unit | labels | meaning | look when |', '|---|---|---|---|---|---|', ...rows].join(
    '\n',
  )
}

describe('the page on observability', () => {
  it('has the table of metrics that the code says', () => {
    const begin = page.indexOf('| name | kind |')
    expect(page.slice(begin, page.indexOf('\n\n', begin))).toBe(table())
  })

  it('names every channel, and every word that an event may hold', () => {
    expect([...page.matchAll(/^\| `(slotwise:[\w:]+)` \|/gm)].map(([, name]) => name)).toEqual(CHANNELS)
    const source = read('packages/slotwise/src/telemetry.ts')
    const declared = source.slice(source.indexOf('export type RetryReason'), source.indexOf('const channels'))
    const words = [...declared.replaceAll(/\/\*\*[\s\S]*?\*\//g, '').matchAll(/'([a-z][a-z-]*)'/g)].map(
      ([, word]) => word,
    )
    expect(words.length).toBeGreaterThan(30)
    expect(words.filter((word) => !page.includes(`\`${word}\``))).toEqual([])
  })

  it('alerts on metrics and labels that there are', () => {
    const rules = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text).join('\n')
    const used = [...rules.matchAll(/\b(?:slotwise|db_client)_\w+/g)].map(([name]) => name)
    const known = new Set<string>(names.map(prometheusName))
    const labels = new Set<string>(names.flatMap((name) => METRICS[name].labels.map(labelName)))
    expect(used.length).toBeGreaterThan(8)
    const plain = used.map((name) => name.replace(/_(?:bucket|count|sum)$/, ''))
    expect(
      plain.filter((name, i) => !known.has(name) && !known.has(used[i] ?? '') && !labels.has(name)),
    ).toEqual([])
    const selected = [...rules.matchAll(/[{,]\s*(\w+)(?:=|!=|=~|!~)"/g)].map(([, label = '']) => label)
    expect(selected.filter((label) => !labels.has(label))).toEqual([])
  })
})

describe('metrics', () => {
  it('have names that a collector would make of them, and buckets that grow', () => {
    expect(prometheusName('db.client.operation.duration')).toBe('db_client_operation_duration_seconds')
    expect(prometheusName('slotwise.redis.retries')).toBe('slotwise_redis_retries_total')
    expect(prometheusName('slotwise.redis.nodes')).toBe('slotwise_redis_nodes')
    for (const name of names) {
      expect(prometheusName(name)).toMatch(/^[a-z][a-z_]*$/)
      if (METRICS[name].kind !== 'histogram') continue
      expect(['s', '{line}', '{place}']).toContain(METRICS[name].unit)
      expect(bucketsOf(name)).toEqual(bucketsOf(name).toSorted((a, b) => a - b))
    }
  })

  it('have no label for a key, an id or a tenant', () => {
    const labels = names.flatMap((name): readonly string[] => METRICS[name].labels)
    expect(labels.filter((label) => /key|tenant|user|resource|subject|\bid\b/.test(label))).toEqual([])
  })

  it('let a hundred values of a label pass, and call all others one', () => {
    const bounds = new Bounds()
    const values = Array.from({ length: 150 }, (_, i) => bounds.of('name', `n${i}`))
    expect(new Set(values).size).toBe(101)
    expect(values.at(-1)).toBe(OTHER)
    expect(bounds.of('name', 'n7')).toBe('n7')
    expect(bounds.of('tier', 'n149')).toBe('n149')
  })

  it('tell the host of a node from its port, whatever the family of its address', () => {
    expect(nodeLabels('10.0.0.1:7000')).toEqual({ 'server.address': '10.0.0.1', 'server.port': 7000 })
    expect(nodeLabels('[::1]:7000')).toEqual({ 'server.address': '::1', 'server.port': 7000 })
    expect(nodeLabels(OTHER)).toEqual({ 'server.address': OTHER })
  })
})

describe('an event', () => {
  it('is not even made while nobody listens', () => {
    let made = 0
    const event = (): Events['slotwise:redis'] => {
      made++
      return { kind: 'node-connected', node: 'a:1' }
    }
    const heard: Events['slotwise:redis'][] = []
    publish('slotwise:redis', event)
    expect([made, areCallsHeard(), areStartsHeard()]).toEqual([0, false, false])
    const stop = hear('slotwise:redis', (one) => heard.push(one))
    publish('slotwise:redis', event)
    expect([made, heard.length]).toEqual([1, 1])
    const stopCalls = hear('slotwise:redis:call', () => {})
    expect([areCallsHeard(), areStartsHeard()]).toEqual([true, false])
    stopCalls()
    stop()
    publish('slotwise:redis', event)
    expect([made, areCallsHeard()]).toEqual([1, false])
  })
})
