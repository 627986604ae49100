import { describe, expect, it } from 'vitest'
import { useService } from './support/service.js'

const service = useService()

async function scrape(): Promise<string> {
  const response = await fetch(`${service.url}/metrics`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  return await response.text()
}

/** The value of one series; its labels in the order in which they are shown. */
const valueOf = (text: string, series: string): number =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length) ?? Number.NaN,
  )

describe('the metrics', () => {
  it('tell hits from loads, decisions, locks and the health of the cluster', async () => {
    const api = await service.tenant()
    const entity = await api.entity('e')
    const id = await api.comment(entity, 'text')
    const cached = async () => (await api.get(`/v1/comments/${id}`)).headers.get('x-cache')
    await expect.poll(cached).toBe('hit')
    expect((await api.put(`/v1/comments/${id}/like`, { user: 'bob' })).status).toBe(200)
    const text = await scrape()
    const reads = 'slotwise_cache_operation_duration_seconds_count'
    expect(valueOf(text, `${reads}{name="comments",kind="hit"}`)).toBeGreaterThanOrEqual(1)
    const decided = 'slotwise_ratelimit_decision_duration_seconds_count'
    expect(text).toMatch(new RegExp(`^${decided}\\{name="[^"]+",outcome="allowed"\\} [1-9]`, 'm'))
    const locks = 'slotwise_lock_operation_duration_seconds_count'
    expect(valueOf(text, `${locks}{name="likes",kind="acquired"}`)).toBe(1)
    expect(valueOf(text, `${locks}{name="likes",kind="released"}`)).toBe(1)
    expect(valueOf(text, 'slotwise_redis_nodes{client="comments",role="primary"}')).toBe(3)
    expect(valueOf(text, 'slotwise_redis_slots_unserved{client="comments"}')).toBe(0)
    expect(valueOf(text, 'slotwise_cluster_health{client="comments",status="ok"}')).toBe(1)
    expect(text).toMatch(/^db_client_operation_duration_seconds_count\{.*db_operation_name="EVALSHA"/m)
  })

  it('tell nothing of tenants, nor of what they write', async () => {
    const api = await service.tenant()
    const entity = await api.entity('private-entity')
    const id = await api.comment(entity, 'private-words', 'private-user')
    await api.get(`/v1/comments/${id}`)
    const text = await scrape()
    for (const secret of [api.tenant, api.key, 'private-', id]) expect(text).not.toContain(secret)
  })
})
