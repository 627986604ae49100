/** The comments service as a stranger meets it. */

export interface Tenant {
  readonly id: string
  readonly key: string
}

export async function firstTenant(url: string): Promise<Tenant> {
  const [tenant] = (await (
    await fetch(`${url}/demo/tenants`, { headers: { connection: 'close' } })
  ).json()) as Tenant[]
  if (tenant === undefined) throw new Error('there is no tenant')
  return tenant
}

export async function threads(url: string, tenant: Tenant): Promise<readonly { readonly id: string }[]> {
  const { items } = (await ask(url, tenant, 'GET', '/v1/entities')) as { items: { id: string }[] }
  return items
}

/** The whole page of a thread, as text. */
export async function readThread(url: string, tenant: Tenant, id: string): Promise<string> {
  return JSON.stringify(
    await ask(url, tenant, 'GET', `/v1/entities/${encodeURIComponent(id)}/comments?limit=100`),
  )
}

export async function writeComment(url: string, tenant: Tenant, thread: string, content: string) {
  return (await ask(url, tenant, 'POST', `/v1/entities/${encodeURIComponent(thread)}/comments`, {
    content,
  })) as {
    readonly id: string
  }
}

export function like(url: string, tenant: Tenant, comment: string): Promise<unknown> {
  return ask(url, tenant, 'PUT', `/v1/comments/${encodeURIComponent(comment)}/like`)
}

async function ask(
  url: string,
  { key }: Tenant,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      'x-user': 'newcomer',
      'content-type': 'application/json',
      // Else the service waits at its end for one more request over an open connection.
      connection: 'close',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.json()
}
