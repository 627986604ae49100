import { make, the } from './dom.js'

/**
 * Where the service is no demonstration, whoever has a key shows it.
 *
 * @param {import('./api.js').Api} api
 * @param {(text: string, wrong?: boolean) => void} say
 * @param {(tenant: import('./api.js').Tenant) => Promise<void>} onTenant
 */
export function askForKey(api, say, onTenant) {
  const input = make('input', { type: 'password', required: true, autocomplete: 'off' })
  const ask = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault()
    api.tenant = { id: '', name: '', plan: '', key: input.value }
    const { status, body, problem } = await api.call('GET', '/v1/tenant')
    if (status !== 200) return say(problem ?? '', true)
    return onTenant({ ...body, key: input.value })
  }
  the('comments', HTMLElement).replaceChildren(
    make(
      'form',
      { className: 'write', onsubmit: ask },
      make('label', {}, 'API key of a tenant', input),
      make('button', { type: 'submit' }, 'Show its threads'),
    ),
  )
}
