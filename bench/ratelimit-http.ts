/**
 * What a middleware adds to a bare decision, in microseconds of the processor a request: headers, the client's address, the framework's own way to the
 * next handler. The decision is made up and nothing goes over a network, so that neither drowns it.
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { HttpException } from '@nestjs/common'
import express, { type Express } from 'express'
import { rateLimit } from 'express-rate-limit'
import { fastify } from 'fastify'
import { Hono } from 'hono'
import { type Decision, RateLimiter, tokenBucket } from 'slotwise/ratelimit'
import { expressLimit } from 'slotwise/ratelimit/express'
import { fastifyLimit } from 'slotwise/ratelimit/fastify'
import { honoLimit } from 'slotwise/ratelimit/hono'
import { type HttpLimiter, httpLimit } from 'slotwise/ratelimit/http'
import { nestLimit } from 'slotwise/ratelimit/nest'
import { nextLimit } from 'slotwise/ratelimit/next'
import { memoryPort } from 'slotwise/testing'
import { exitCodeOf, type Finding, told } from './measuring/findings.js'
import { machine, machineLine } from './measuring/machine.js'
import { counts, optionsOf } from './measuring/options.js'
import { inTurns, median, quantile } from './measuring/rates.js'
import { table } from './measuring/table.js'

const HELP = `npm run bench -- ratelimit-http [--rounds 25] [--requests 2000] [--json]

Microseconds of the processor that each middleware adds to a bare decision of three tiers, admitted, and refused: with and without, in turns,
medians over the rounds of the difference. Exit code: 0 each adds 15 or less, 1 one adds more.`

const options = optionsOf(HELP, {
  rounds: { type: 'string', default: '25' },
  requests: { type: 'string', default: '2000' },
})
const [rounds, requests] = counts(options.rounds, options.requests)
const PROMISED_US = 15

const tiers = {
  second: tokenBucket({ capacity: 100, refillPerSecond: 100 }),
  minute: tokenBucket({ capacity: 1000, refillPerSecond: 1000 / 60 }),
  day: tokenBucket({ capacity: 100_000, refillPerSecond: 100_000 / 86_400 }),
}
type Tiers = keyof typeof tiers
const port = memoryPort()
const real = new RateLimiter<Tiers, string>(port, { name: 'bench', tiers, whenUnavailable: 'allow' })
const state = (name: Tiers, limit: number, nextMs: number) => ({
  name,
  limit,
  remaining: limit - 1,
  resetMs: nextMs,
  nextMs,
})
const states = [state('second', 100, 10), state('minute', 1000, 60), state('day', 100_000, 864)]
const admission: Decision<Tiers> = {
  allowed: true,
  decidedBy: 'redis',
  tiers: states,
  receipt: { costs: { second: 1, minute: 1, day: 1 } },
}
const denial: Decision<Tiers> = {
  allowed: false,
  reason: 'limited',
  retryAfterMs: 120,
  violated: ['second'],
  tiers: states,
}
/** Says always the same, and of its tiers what the real one says. */
const saying = (decision: Decision<Tiers>): HttpLimiter<Tiers, string> => ({
  consume: async () => decision,
  describe: (subject) => real.describe(subject),
  refund: async () => true,
})
const [admitting, refusing] = [saying(admission), saying(denial)]
const settings = { proxies: { trust: 1 } } as const
const FORWARDED = '2001:db8:17:4:a:b:c:d'

/** A request and its response as a server makes them, without a connection. */
function exchange() {
  const request = new IncomingMessage(new Socket())
  request.method = 'GET'
  request.url = '/'
  request.headers['x-forwarded-for'] = FORWARDED
  return { request, response: new ServerResponse(request) }
}

/** A way through a framework, with the limit and without it; each resolves when the request is at its end. */
interface Subject {
  readonly name: string
  readonly promised: boolean
  readonly bare: () => Promise<unknown>
  readonly limited: () => Promise<unknown>
}

function onExpress(prepare: (app: Express) => void): () => Promise<unknown> {
  const app = express()
  let arrived = () => {}
  prepare(app)
  app.get('/', () => arrived())
  return async () => {
    const { request, response } = exchange()
    const done = new Promise<void>((resolve) => {
      arrived = resolve
    })
    app(request, response)
    await done
  }
}

async function onFastify(hook?: ReturnType<typeof fastifyLimit>): Promise<() => Promise<unknown>> {
  const app = fastify()
  let arrived = () => {}
  if (hook !== undefined) app.addHook('onRequest', hook)
  app.get('/', (_, reply) => {
    reply.hijack()
    arrived()
  })
  await app.ready()
  return async () => {
    const { request, response } = exchange()
    const done = new Promise<void>((resolve) => {
      arrived = resolve
    })
    app.routing(request, response)
    await done
  }
}

function onHono(prepare: (app: Hono) => void): () => Promise<unknown> {
  const app = new Hono()
  prepare(app)
  app.get('/', () => new Response('hello'))
  return async () =>
    await app.fetch(new Request('http://localhost/', { headers: { 'x-forwarded-for': FORWARDED } }))
}

const forwarded = () => new Request('http://localhost/', { headers: { 'x-forwarded-for': FORWARDED } })
const hello = () => new Response('hello')

function onNode(limiter: HttpLimiter<Tiers, string>, more: object = {}): () => Promise<unknown> {
  const limit = httpLimit(limiter, { ...settings, ...more })
  return async () => {
    const { request, response } = exchange()
    return await limit(request, response)
  }
}
/** The same without a limit, and with the decision. */
const onNodeBare = (limiter: HttpLimiter<Tiers, string>) => async () => {
  const { response } = exchange()
  await limiter.consume(FORWARDED)
  if (limiter === refusing) response.end('no')
}

const guard = nestLimit(admitting, { ...settings, exception: HttpException })
const withDecision = (way: () => Promise<unknown>) => async () => {
  await admitting.consume(FORWARDED)
  await way()
}
const nextRoute = nextLimit(admitting, settings, hello)
const remoteAddress = () => '10.0.0.1'

const subjects: readonly Subject[] = [
  { name: 'node:http', promised: true, bare: onNodeBare(admitting), limited: onNode(admitting) },
  {
    name: 'node:http, with refunds',
    promised: true,
    bare: onNodeBare(admitting),
    limited: onNode(admitting, { refund: 'failed' }),
  },
  {
    name: 'node:http, with all headers',
    promised: true,
    bare: onNodeBare(admitting),
    limited: onNode(admitting, { headers: 'both' }),
  },
  { name: 'node:http, refused', promised: false, bare: onNodeBare(refusing), limited: onNode(refusing) },
  {
    name: 'Express 5',
    promised: true,
    bare: withDecision(onExpress(() => {})),
    limited: onExpress((app) => app.use(expressLimit(admitting, settings))),
  },
  {
    name: 'Fastify 5',
    promised: true,
    bare: withDecision(await onFastify()),
    limited: await onFastify(fastifyLimit(admitting, settings)),
  },
  {
    name: 'Hono 4',
    promised: true,
    bare: withDecision(onHono(() => {})),
    limited: onHono((app) => app.use(honoLimit(admitting, { ...settings, remoteAddress }))),
  },
  {
    name: 'NestJS 11, the guard',
    promised: true,
    bare: onNodeBare(admitting),
    limited: async () => {
      const { request, response } = exchange()
      return await guard.canActivate({
        getType: () => 'http',
        switchToHttp: () => ({ getRequest: () => request, getResponse: () => response }),
      })
    },
  },
  {
    name: 'Next, a route handler',
    promised: true,
    bare: async () => {
      await admitting.consume(FORWARDED)
      forwarded()
      return hello()
    },
    limited: async () => await nextRoute(forwarded()),
  },
  {
    name: 'express-rate-limit 8, its counting in memory included',
    promised: false,
    bare: onExpress(() => {}),
    limited: onExpress((app) => {
      app.set('trust proxy', 1)
      app.use(
        rateLimit({
          limit: 1_000_000_000,
          standardHeaders: 'draft-8',
          legacyHeaders: false,
          validate: false,
        }),
      )
    }),
  },
]

/** Of the processor, collecting garbage included, and not of the clock: neighbours do not count. */
async function microseconds(way: () => Promise<unknown>): Promise<number> {
  const from = process.cpuUsage()
  for (let i = 0; i < requests; i++) await way()
  const { user, system } = process.cpuUsage(from)
  return (user + system) / requests
}

const after = machine()
// What is compiled late would be measured as slow.
for (const { bare, limited } of subjects) {
  for (const way of [bare, limited]) for (let i = 0; i < 3; i++) await microseconds(way)
}
const added = await inTurns(
  rounds,
  subjects.map(({ bare, limited }) => async (round: number) => {
    if (round % 2 === 0) {
      const without = await microseconds(bare)
      return { without, added: (await microseconds(limited)) - without }
    }
    const withLimit = await microseconds(limited)
    const without = await microseconds(bare)
    return { without, added: withLimit - without }
  }),
)

const results = subjects.map(({ name, promised }, i) => {
  const own = added[i] ?? []
  const differences = own.map((one) => one.added)
  return {
    name,
    promised,
    bareUs: median(own.map(({ without }) => without)),
    addedUs: median(differences),
    from: quantile(differences, 0.1),
    to: quantile(differences, 0.9),
  }
})
const findings: readonly Finding[] = results.map(({ name, promised, addedUs }) => {
  const line = `${name}: ${addedUs.toFixed(1)} µs more than without, ${PROMISED_US} or less`
  return promised
    ? { line, holds: addedUs <= PROMISED_US }
    : { line: `${name}: ${addedUs.toFixed(1)} µs more than without` }
})
const about = after()
if (options.json) {
  console.log(JSON.stringify({ rounds, requests, machine: about, results, findings }, undefined, 2))
} else {
  const rows = results.map(({ name, bareUs, addedUs, from, to }) => [
    name,
    bareUs.toFixed(1),
    addedUs.toFixed(1),
    `${from.toFixed(1)}–${to.toFixed(1)}`,
  ])
  console.log(table([['', 'without, µs', 'added, µs', 'eight of ten rounds'], ...rows]))
  console.log(`\n${machineLine(about, 'no server')}\n\n${told(findings)}`)
}
await port.close()
process.exit(exitCodeOf(findings))
