import { type Found, found } from './finding.js'
import { listed, type Observed } from './observation.js'

/** What could not be looked at, so that a clean bill of health says how far it reaches. */
export function privileges({ nodes }: Observed): Found[] {
  const denied = new Map<string, string[]>()
  const unknown = new Map<string, string[]>()
  for (const node of nodes) {
    for (const right of node.denied) denied.set(right, [...(denied.get(right) ?? []), node.name])
    for (const command of node.unknown) unknown.set(command, [...(unknown.get(command) ?? []), node.name])
  }
  const user = nodes.find((node) => node.user !== undefined)?.user ?? 'USER'
  return [
    ...[...denied].map(([right, names]) =>
      found('permission-missing', undefined, `this user lacks ${right} at ${listed(names)}`, { user, right }),
    ),
    ...[...unknown].map(([command, names]) =>
      found('command-missing', undefined, `there is no ${command} at ${listed(names)}`),
    ),
  ]
}
