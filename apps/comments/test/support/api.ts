/** What came back. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Parsed, if it was JSON. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

export interface Call {
  readonly user?: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** One tenant's calls. */
export class Api {
  readonly url: string
  readonly key: string
  readonly tenant: string

  constructor(url: string, key: string, tenant = '') {
    this.url = url
    this.key = key
    this.tenant = tenant
  }

  /** The same tenant at another process. */
  at(url: string): Api {
    return new Api(url, this.key, this.tenant)
  }

  async call(method: string, path: string, { user, body, headers }: Call = {}): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        ...(user === undefined ? {} : { 'x-user': encodeURIComponent(user) }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') === true
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
  }

  get = (path: string, call?: Call) => this.call('GET', path, call)
  put = (path: string, call?: Call) => this.call('PUT', path, call)
  post = (path: string, call?: Call) => this.call('POST', path, call)
  patch = (path: string, call?: Call) => this.call('PATCH', path, call)
  delete = (path: string, call?: Call) => this.call('DELETE', path, call)

  async entity(id: string, title = `About ${id}`): Promise<string> {
    const { status, body } = await this.put(`/v1/entities/${encodeURIComponent(id)}`, { body: { title } })
    if (status > 201) throw new Error(`no entity: ${JSON.stringify(body)}`)
    return id
  }

  /** Writes a comment; its id. */
  async comment(entity: string, content: string, user = 'ann', parentId?: string): Promise<string> {
    const { status, body } = await this.post(`/v1/entities/${encodeURIComponent(entity)}/comments`, {
      user,
      body: { content, ...(parentId === undefined ? {} : { parentId }) },
    })
    if (status !== 201) throw new Error(`no comment: ${JSON.stringify(body)}`)
    return body.id
  }

  thread = (entity: string, query = '') =>
    this.get(`/v1/entities/${encodeURIComponent(entity)}/comments${query}`)
}
