import { createRoute, z } from '@hono/zod-openapi'
import type { MetricsService } from '../services/metrics.js'
import type { Router } from './router.js'

const metrics = createRoute({
  method: 'get',
  path: '/metrics',
  summary: 'Metrics for Prometheus',
  description:
    "Holds no tenant, id or key. Still nobody's business outside: keep it from the public at the proxy.",
  responses: {
    200: { description: 'In the text format.', content: { 'text/plain': { schema: z.string() } } },
  },
})

export function metricsRoutes(router: Router, service: MetricsService): void {
  router.openapi(metrics, async (context) => {
    const text = await service.scrape()
    return context.text(text, 200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' })
  })
}
