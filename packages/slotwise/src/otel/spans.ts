import {
  type Attributes,
  context,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { errorType, nodeLabels } from '../measure.js'
import { type Events, hear } from '../telemetry.js'

export type SpanScope = 'within-traces' | 'all'

type Call = Events['slotwise:redis:call']

/**
 * A span for each call to Redis. A call ends in the context of whoever reads the socket, so its span is begun where the
 * call is: in its caller's.
 */
export function traceCalls(tracer: Tracer, scope: SpanScope): () => void {
  const open = new WeakMap<object, Span>()
  const stops = [
    hear('slotwise:redis:start', (start) => {
      if (isWanted(scope)) open.set(start.id, tracer.startSpan(nameOf(start), settingsOf(start)))
    }),
    hear('slotwise:redis:call', (call) => {
      // What is borrowed has no beginning of its own; its end is told in the context of its caller.
      if (call.connection === 'borrowed' && isWanted(scope)) {
        const startTime = Date.now() - call.durationMs
        finish(tracer.startSpan(nameOf(call), { ...settingsOf(call), startTime }), call)
      }
      const span = call.id === undefined ? undefined : open.get(call.id)
      if (span !== undefined) finish(span, call)
    }),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

/** A span for each load of a cache, once it has ended. Calls that it made are beside it, not below. */
export function traceLoads(tracer: Tracer, scope: SpanScope): () => void {
  return hear('slotwise:cache', ({ kind, name, durationMs }) => {
    if (kind !== 'load' || !isWanted(scope)) return
    const startTime = Date.now() - durationMs
    const attributes = { 'slotwise.cache.name': name }
    tracer.startSpan('cache load', { kind: SpanKind.INTERNAL, startTime, attributes }).end()
  })
}

const isWanted = (scope: SpanScope): boolean =>
  scope === 'all' || trace.getSpan(context.active()) !== undefined

const nameOf = ({ operation, script }: Pick<Call, 'operation' | 'script'>): string =>
  script === undefined ? operation : `${operation} ${script}`

function settingsOf({ operation, script }: Pick<Call, 'operation' | 'script'>) {
  const attributes: Attributes = { 'db.system.name': 'redis', 'db.operation.name': operation }
  if (script !== undefined) attributes['db.stored_procedure.name'] = script
  return { kind: SpanKind.CLIENT, attributes }
}

function finish(span: Span, call: Call): void {
  if (call.node !== undefined) span.setAttributes(nodeLabels(call.node))
  span.setAttribute('slotwise.attempts', call.attempts)
  for (const [reason, times] of Object.entries(call.retries)) {
    span.setAttribute(`slotwise.retries.${reason}`, times)
  }
  const error = errorType(call)
  if (error !== undefined) {
    span.setAttribute('error.type', error)
    if (call.replyCode !== undefined) span.setAttribute('db.response.status_code', call.replyCode)
    span.setStatus({ code: SpanStatusCode.ERROR, message: error })
  }
  span.end()
}
