import { createRoute } from '@hono/zod-openapi'
import type { HealthService } from '../services/health.js'
import { json } from './responses.js'
import type { Router } from './router.js'
import { Health, Readiness } from './schemas.js'

const health = createRoute({
  method: 'get',
  path: '/healthz',
  summary: 'Whether the process runs',
  responses: { 200: json(Health, 'It does.') },
})

const ready = createRoute({
  method: 'get',
  path: '/readyz',
  summary: 'Whether to send requests here',
  description:
    'One primary less is `degraded` and still ready: everything that can be read goes on being read.',
  responses: { 200: json(Readiness, 'Yes.'), 503: json(Readiness, 'No.') },
})

export function healthRoutes(router: Router, service: HealthService): void {
  router.openapi(health, (context) => context.json({ status: 'up' as const }, 200))
  router.openapi(ready, async (context) => {
    const { ready: yes, ...readiness } = await service.readiness()
    return context.json(readiness, yes ? 200 : 503)
  })
}
