import type { Logger } from 'pino'
import { notFound, Problem } from '../problems.js'
import type { CommentService } from '../services/comments.js'
import type { EntityService } from '../services/entities.js'
import type { HealthService } from '../services/health.js'
import type { LikeService } from '../services/likes.js'
import type { LimitService } from '../services/limits.js'
import type { MetricsService } from '../services/metrics.js'
import type { ReactionService } from '../services/reactions.js'
import type { TenantService } from '../services/tenants.js'
import type { ViewService } from '../services/views.js'
import { commentRoutes } from './comments.js'
import { entityRoutes } from './entities.js'
import { guard, problemResponse } from './guard.js'
import { healthRoutes } from './health.js'
import { metricsRoutes } from './metrics.js'
import { page } from './page.js'
import { reactionRoutes } from './reactions.js'
import { newRouter, type Router } from './router.js'
import { demoRoutes, tenantRoutes } from './tenant.js'

export interface Services {
  readonly comments: CommentService
  readonly entities: EntityService
  readonly health: HealthService
  readonly likes: LikeService
  readonly limits: LimitService
  readonly metrics: MetricsService
  readonly reactions: ReactionService
  readonly tenants: TenantService
  readonly views: ViewService
}

export interface RouterOptions {
  readonly demo: boolean
  readonly pageFolder: string
  readonly logger: Logger
}

/** Everything the service answers. */
export function routes(services: Services, { demo, pageFolder, logger }: RouterOptions): Router {
  const { comments, entities, health, likes, limits, metrics, reactions, tenants, views } = services
  const router = newRouter()
  router.onError((error, context) => problemResponse(error, context))
  router.notFound((context) => problemResponse(notFound(), context))

  router.use(async (context, next) => {
    const from = performance.now()
    await next()
    if (health.draining) context.res.headers.set('Connection', 'close')
    const { method } = context.req
    const { status } = context.res
    const entry = {
      method,
      path: new URL(context.req.raw.url).pathname.slice(0, 200),
      status,
      ms: Math.round(performance.now() - from),
    }
    const cause = context.error instanceof Problem ? context.error.cause : context.error
    if (status === 500) logger.error({ ...entry, err: cause }, 'failed')
    else if (status === 503 && cause !== undefined) logger.warn({ ...entry, err: cause }, 'unavailable')
    else logger.info(entry, 'answered')
  })
  healthRoutes(router, health)
  metricsRoutes(router, metrics)
  if (demo) demoRoutes(router, tenants)
  router.use('/v1/*', guard(tenants, limits))
  tenantRoutes(router, tenants, limits)
  entityRoutes(router, entities, comments, views)
  commentRoutes(router, comments, likes)
  reactionRoutes(router, reactions)

  router.openAPIRegistry.registerComponent('securitySchemes', 'key', { type: 'http', scheme: 'bearer' })
  router.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'Comments',
      version: '1',
      description:
        'Comments of many tenants. The tenant is that of the API key; nothing of another one can be seen.',
    },
  })
  const files = page(pageFolder)
  router.get('/', files)
  router.get('/page/*', files)
  return router
}
