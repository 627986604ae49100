import { fileURLToPath } from 'node:url'
import { type Logger, pino } from 'pino'
import { connect } from 'slotwise/ioredis'
import { Locks } from 'slotwise/lock'
import type { Config } from './config.js'
import { migrate, openDatabase } from './db/index.js'
import { CommentRepository } from './repositories/comments.js'
import { EntityRepository } from './repositories/entities.js'
import { LikeRepository } from './repositories/likes.js'
import { ReactionRepository } from './repositories/reactions.js'
import { RecountRepository } from './repositories/recounts.js'
import { TenantRepository } from './repositories/tenants.js'
import { ViewRepository } from './repositories/views.js'
import { routes } from './routes/index.js'
import { listen } from './server.js'
import { Behind } from './services/behind.js'
import { Caches } from './services/caches.js'
import { CommentService } from './services/comments.js'
import { EntityService } from './services/entities.js'
import { HealthService } from './services/health.js'
import { LikeService } from './services/likes.js'
import { LimitService } from './services/limits.js'
import { MetricsService } from './services/metrics.js'
import { carryChanges } from './services/outbox.js'
import { ReactionService } from './services/reactions.js'
import { RecentReactions } from './services/recent.js'
import { RecountService } from './services/recount.js'
import { TenantService } from './services/tenants.js'
import { ViewService } from './services/views.js'

/** The service, serving. */
export interface Service extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Answers what is under way, tells callers with open connections to leave, then lets go of everything. Idempotent. */
  close(): Promise<void>
}

export interface ServiceOptions {
  /** @defaultValue one that writes JSON lines to standard output */
  readonly logger?: Logger
}

/** Of those that write behind: two instances with partitions that take turns. */
const BEHIND_CONNECTIONS = 4
const PAGE = fileURLToPath(new URL('../page', import.meta.url))

/** The one place where the parts of the service are made and joined. */
export async function startService(config: Config, options: ServiceOptions = {}): Promise<Service> {
  const logger = options.logger ?? pino({ level: config.logLevel })
  const onError = (error: unknown, context?: object) =>
    logger.warn({ err: error, ...context }, 'failed behind')
  const open: (() => Promise<void>)[] = []
  const closeAll = async () => {
    for (const close of open.splice(0).toReversed()) await close()
  }
  try {
    const bounds = { connectTimeoutMs: 5000, statementTimeoutMs: 5000, onError }
    const db = openDatabase(config.databaseUrl, bounds)
    open.push(() => db.close())
    const made = await migrate(db)
    if (made.length > 0) logger.info({ migrations: made }, 'brought the schema up to date')
    const port = await connect({
      nodes: config.redisNodes,
      namespace: config.namespace,
      clientName: 'comments',
      username: config.redisUsername,
      password: config.redisPassword,
      tls: config.redisCa === undefined ? undefined : { ca: config.redisCa },
      nodeTimeoutMs: config.redisNodeTimeoutMs,
    })
    open.push(() => port.close())
    const metrics = new MetricsService(port)
    open.push(async () => metrics.close())
    const caches = new Caches(port, { enabled: config.cache, onError })
    open.push(() => caches.close())
    if (config.cache) {
      const carrying = carryChanges(db.pool, port, onError)
      open.push(() => carrying.close())
    }
    const locks = new Locks(port, {
      name: 'likes',
      quarantine: false,
      evictionCheck: config.evictionCheck,
      onError,
    })
    // At night there is time to wait for a server that may have forgotten who is at it.
    const nightly = new Locks(port, {
      name: 'nightly',
      maxTtlMs: 10_000,
      evictionCheck: config.evictionCheck,
      onError,
    })
    const recounts = new RecountRepository(db)
    const recount = new RecountService({
      locks: nightly,
      pool: db.pool,
      recounts,
      onError,
      onEnd: (result) => logger.info(result, 'counted the likes again'),
    })
    open.push(() => recount.close())
    if (config.recountAt !== undefined) recount.start(config.recountAt)
    const later = openDatabase(config.databaseUrl, { ...bounds, connections: BEHIND_CONNECTIONS })
    open.push(() => later.close())
    const counts = new ViewRepository(db)
    const { evictionCheck } = config
    const behind = new Behind({ port, pool: later.pool, views: counts, caches, evictionCheck, onError })
    open.push(() => behind.close())
    await behind.start()

    const limits = new LimitService(port, {
      evictionCheck,
      proxies: config.trustedProxies === undefined ? undefined : { trust: config.trustedProxies },
      onError: (error) => logger.warn({ err: error }, 'nobody counts'),
    })
    open.push(() => limits.close())

    const comments = new CommentRepository(db)
    const entities = new EntityRepository(db)
    const keys = new TenantRepository(db)
    const tenants = new TenantService(keys, caches)
    const health = new HealthService(port, keys, behind)
    const views = new ViewService(behind.views, counts, caches)
    const reactions = new ReactionService({
      behind: behind.reactions,
      recent: new RecentReactions(port),
      reactions: new ReactionRepository(db),
      comments,
      caches,
      onError,
    })
    const router = routes(
      {
        comments: new CommentService(comments, entities, caches, { reactions, views }),
        entities: new EntityService(entities, caches, views),
        health,
        likes: new LikeService(new LikeRepository(db), locks, caches),
        limits: limits,
        metrics,
        reactions,
        tenants,
        views,
      },
      { demo: config.demo, pageFolder: PAGE, logger },
    )
    const server = await listen((request, connection) => router.fetch(request, connection), config)
    open.push(
      () => server.close(),
      async () => health.drain(),
    )
    logger.info({ url: server.url }, `listening on ${server.url}`)

    let closing: Promise<void> | undefined
    const close = () => (closing ??= closeAll())
    return { url: server.url, port: server.port, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await closeAll()
    throw error
  }
}
