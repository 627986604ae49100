import { join } from 'node:path'
import { bold, cyan, dim, green, seconds } from './progress.mjs'
import type { Running } from './stack.js'

/** The one screen that says where everything is. */
export function screen(up: Running, dir: string, tookMs: number): string {
  const { redis, postgres } = up
  const row = (name: string, ...lines: readonly string[]) =>
    lines.map((line, index) => `  ${index === 0 ? bold(name.padEnd(10)) : ' '.repeat(10)}${line}`)
  const nodes = redis.own?.nodes.map(({ host, port, role }) => `${host}:${port}  ${role}`) ?? redis.nodes
  const kept = [
    ...(redis.own || postgres.own ? [`kept in ${dir}; npm start -- --fresh begins anew`] : []),
    // Where root has no user namespaces, the database lies elsewhere.
    ...(postgres.own && !postgres.own.dir.startsWith(dir) ? [`the database in ${postgres.own.dir}`] : []),
  ]
  return [
    '',
    `${green('✓')} ${bold('The comments service is up')} ${dim(`after ${seconds(tookMs)}`)}`,
    '',
    ...row('Page', cyan(up.url)),
    ...row('API', `${up.url}/openapi.json`),
    ...row('Redis', redis.own ? `${redis.own.version}, of ours` : 'yours', ...nodes),
    ...row('Postgres', postgres.own ? `127.0.0.1:${postgres.own.port}` : 'yours, of DATABASE_URL'),
    ...row('Data', up.data, ...kept.map(dim)),
    ...row('Log', join(dir, 'service.log')),
    ...row('Stop', 'Ctrl-C'),
    '',
  ].join('\n')
}
