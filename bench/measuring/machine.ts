import { cpus, loadavg } from 'node:os'

/** What results depend on. */
export interface Machine {
  readonly cores: number
  readonly model: string
  readonly node: string
  readonly load: string
}

const load = () => loadavg().map((average) => average.toFixed(1))[0]

/** To be called before anything is measured, and what it returns afterwards: the load of both moments belongs to the results. */
export function machine(): () => Machine {
  const before = load()
  return () => ({
    cores: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    load: `${before} before, ${load()} after`,
  })
}

/** The same in a line. */
export const machineLine = ({ cores, model, node, load: both }: Machine, servers: string): string =>
  `${cores} cores (${model}) shared by everything, ${servers}, Node ${node}; load ${both}`
