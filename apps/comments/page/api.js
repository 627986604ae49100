/**
 * @typedef {{ id: string, name: string, plan: string, key: string }} Tenant
 * @typedef {{ name: string, ms: number, note: string }} Part one line of Server-Timing
 * @typedef {{
 *   method: string, path: string, status: number, ms: number, source: string, parts: readonly Part[],
 *   left: ReadonlyMap<string, number>, retryAfterMs: number | undefined,
 *   etag: string | undefined, body: any, problem: string | undefined, tenant: string,
 * }} Answer
 */

/** @param {string} header */
function partsOf(header) {
  return header
    .split(',')
    .map((entry) => entry.trim().split(';'))
    .filter(([name]) => name)
    .map(([name = '', ...fields]) => {
      const values = new Map(
        fields.map((field) => {
          const [key = '', value = ''] = field.trim().split('=')
          return [key, value.replace(/^"|"$/g, '')]
        }),
      )
      return { name, ms: Number(values.get('dur') ?? 0), note: values.get('desc') ?? '' }
    })
}

/**
 * What is left of each limit, by its name, as the `RateLimit` header tells it.
 *
 * @param {string | null} header
 * @returns {ReadonlyMap<string, number>}
 */
const leftIn = (header) =>
  new Map(
    Array.from((header ?? '').matchAll(/"(\w+)";r=(\d+)/g), ([, name = '', left]) => [name, Number(left)]),
  )

/** Calls of the service in a tenant's and a user's name; whoever listens is told of every answer. */
export class Api {
  /** @type {Tenant | undefined} */
  tenant
  user = ''
  /** @type {Set<(answer: Answer) => void>} */
  #listeners = new Set()

  /** @param {(answer: Answer) => void} listener */
  onAnswer(listener) {
    this.#listeners.add(listener)
  }

  /**
   * Resolves with whatever came back; status 0 when nothing did.
   *
   * @param {string} method
   * @param {string} path
   * @param {{ body?: object, ifMatch?: string | undefined, idempotencyKey?: string }} [call]
   * @returns {Promise<Answer>}
   */
  async call(method, path, { body, ifMatch, idempotencyKey } = {}) {
    const headers = new Headers()
    const tenant = this.tenant
    if (tenant !== undefined) headers.set('Authorization', `Bearer ${tenant.key}`)
    headers.set('X-User', encodeURIComponent(this.user))
    if (body !== undefined) headers.set('Content-Type', 'application/json')
    if (ifMatch !== undefined) headers.set('If-Match', ifMatch)
    if (idempotencyKey !== undefined) headers.set('Idempotency-Key', idempotencyKey)
    const from = performance.now()
    const answer = await this.#ask(path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    const ms = performance.now() - from
    const whole = { ...answer, method, path, ms, tenant: tenant?.id ?? '' }
    for (const listener of this.#listeners) listener(whole)
    return whole
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   */
  async #ask(path, init) {
    try {
      const response = await fetch(path, { ...init, cache: 'no-store' })
      const text = await response.text()
      const { headers, status } = response
      const body = headers.get('content-type')?.includes('json') ? JSON.parse(text) : undefined
      return {
        status,
        source: headers.get('x-cache') ?? '',
        parts: partsOf(headers.get('server-timing') ?? ''),
        left: leftIn(headers.get('ratelimit')),
        retryAfterMs: status === 429 ? Number(body?.retryAfterMs ?? 0) : undefined,
        etag: headers.get('etag') ?? undefined,
        body,
        problem: response.ok ? undefined : sentenceOf(body, status),
      }
    } catch {
      return {
        status: 0,
        source: '',
        parts: [],
        left: leftIn(null),
        retryAfterMs: undefined,
        etag: undefined,
        body: undefined,
        problem: 'The service does not answer.',
      }
    }
  }
}

/**
 * @param {any} body
 * @param {number} status
 * @returns {string}
 */
function sentenceOf(body, status) {
  if (typeof body?.detail !== 'string') return `The service answered ${status}.`
  const mistakes = Array.isArray(body.errors)
    ? body.errors.map((/** @type {any} */ { message }) => message)
    : []
  return [body.detail, ...mistakes].join(' ')
}

/** @param {string} id */
export const entityPath = (id) => `/v1/entities/${encodeURIComponent(id)}`
/** @param {string} id */
export const commentPath = (id) => `/v1/comments/${encodeURIComponent(id)}`

/** Not `crypto.randomUUID`, which is there only over https and on the machine itself. */
export const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  )

const RETRY_MS = 1500

/** Resolves once the service answers again. */
export async function untilAlive() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    const alive = await fetch('/healthz', { cache: 'no-store' }).then(
      ({ ok }) => ok,
      () => false,
    )
    if (alive) return
  }
}
