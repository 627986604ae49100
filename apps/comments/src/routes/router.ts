import { $, OpenAPIHono } from '@hono/zod-openapi'
import { Problem } from '../problems.js'
import type { Tenant } from '../repositories/tenants.js'

export interface Variables {
  readonly tenant: Tenant
}

/** A router whose requests are refused in our words when they do not fit its routes. */
export function newRouter() {
  return $(
    new OpenAPIHono<{ Variables: Variables }>({
      defaultHook: (result) => {
        if (result.success) return
        throw new Problem('INVALID_REQUEST', 'Something about the request is wrong.', {
          errors: result.error.issues.slice(0, 20).map(({ path, message }) => ({
            at: [WHERE[result.target], ...path.map(String)].join('.').slice(0, 200),
            message,
          })),
        })
      },
    }),
  )
}

export type Router = ReturnType<typeof newRouter>

const WHERE: Readonly<Record<string, string>> = {
  json: 'body',
  param: 'path',
  query: 'query',
  header: 'header',
}
