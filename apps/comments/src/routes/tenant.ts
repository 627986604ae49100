import { createRoute } from '@hono/zod-openapi'
import type { LimitService } from '../services/limits.js'
import type { TenantService } from '../services/tenants.js'
import { failures, json, refusals } from './responses.js'
import type { Router } from './router.js'
import { DemoTenants, Tenant } from './schemas.js'

const whoAmI = createRoute({
  method: 'get',
  path: '/v1/tenant',
  summary: 'Whose key this is, and what the plan allows',
  security: [{ key: [] }],
  responses: { 200: json(Tenant, 'The tenant.'), ...refusals() },
})

const purge = createRoute({
  method: 'delete',
  path: '/v1/cache',
  summary: 'Takes everything of this tenant out of the cache',
  security: [{ key: [] }],
  responses: {
    204: { description: 'The next reader of each thing gets it from the database.' },
    ...refusals(),
  },
})

const demo = createRoute({
  method: 'get',
  path: '/demo/tenants',
  summary:
    'Every tenant with a key that works for a day; only where the service was started as a demonstration',
  responses: { 200: json(DemoTenants, 'The tenants.'), ...failures },
})

export function tenantRoutes(router: Router, tenants: TenantService, limits: LimitService): void {
  router.openapi(whoAmI, (context) => {
    const tenant = context.get('tenant')
    return context.json({ ...tenant, limits: [...limits.of(tenant.plan)] }, 200)
  })

  router.openapi(purge, async (context) => {
    await tenants.purge(context.get('tenant').id)
    return context.body(null, 204)
  })
}

export function demoRoutes(router: Router, tenants: TenantService): void {
  router.openapi(demo, async (context) =>
    context.json([...(await tenants.demo())], 200, { 'Cache-Control': 'no-store' }),
  )
}
