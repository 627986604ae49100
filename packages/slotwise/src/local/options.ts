import { ConfigurationError, type LocalServerError } from '../errors.js'
import { integer, shown } from '../options.js'
import type { Certificate } from './certificate.js'
import { checkConfig } from './config.js'

/** Settings of `startLocalCluster`. */
export interface LocalClusterOptions {
  /** @defaultValue `3` */
  readonly primaries?: number | undefined
  /** @defaultValue `1` */
  readonly replicasPerPrimary?: number | undefined
  /** A user of this name, and no `default` user. Needs a password. */
  readonly username?: string | undefined
  readonly password?: string | undefined
  /**
   * TLS only, on every port; `true` makes a certificate for 127.0.0.1 and localhost.
   *
   * @defaultValue `false`
   */
  readonly tls?: boolean | Certificate | undefined
  /** More settings for every server, in the syntax of redis.conf; they win over ours. */
  readonly config?: Readonly<Record<string, string>> | undefined
  /**
   * The oldest version of Redis or Valkey that will do.
   *
   * @defaultValue `'7.0.0'`
   */
  readonly version?: string | undefined
  /**
   * Where the data lies and stays, so that a later start finds it again, on the same ports if they are free.
   * Nothing is lost when this process ends, however it ends. When the servers themselves are killed all at once,
   * Redis may lose the last two seconds; `config: { appendfsync: 'always' }` closes that for a slower write.
   *
   * @defaultValue a temporary folder that goes with the cluster; nothing is written to it but the cluster's own state
   */
  readonly dir?: string | undefined
  /**
   * The first port, the others following; one that is taken is left out.
   *
   * @defaultValue any free ports
   */
  readonly basePort?: number | undefined
  /**
   * How long a node may be silent before the others replace it.
   *
   * @defaultValue `2000`
   */
  readonly nodeTimeoutMs?: number | undefined
  /**
   * Puts a network of ours between the nodes, and between them and their clients, which `partition`, `isolate` and
   * `cutReplication` cut. All traffic then goes through this process: while its event loop stands still for longer
   * than `nodeTimeoutMs`, nodes take each other for dead.
   *
   * @defaultValue `false`
   */
  readonly networkFaults?: boolean | undefined
  /** Hears of the steps that take time, one clause each. */
  readonly onProgress?: ((step: string) => void) | undefined
  /** Hears of a server that ended by itself. @defaultValue a process warning */
  readonly onError?: ((error: LocalServerError) => void) | undefined
  /** Gives up starting; what was started ends. */
  readonly signal?: AbortSignal | undefined
}

/** @throws ConfigurationError that names what is wrong */
export function checkOptions(options: LocalClusterOptions) {
  const primaries = integer('primaries', options.primaries ?? 3, { min: 3, max: 100 })
  const replicasPerPrimary = integer('replicasPerPrimary', options.replicasPerPrimary ?? 1, {
    min: 0,
    max: 10,
  })
  const nodeTimeoutMs = integer('nodeTimeoutMs', options.nodeTimeoutMs ?? 2000, { min: 100 })
  if (options.basePort !== undefined) integer('basePort', options.basePort, { max: 65_535 })
  if (options.username !== undefined) {
    if (options.password === undefined) throw new ConfigurationError('username needs a password')
    if (!/^[\w.-]+$/.test(options.username)) {
      throw new ConfigurationError(
        `username must be letters, digits, dots, dashes or underscores, got ${shown(options.username)}`,
      )
    }
  }
  if (options.password === '') throw new ConfigurationError('password must not be empty')
  if (options.version !== undefined && !/^\d+(?:\.\d+){0,2}$/.test(options.version)) {
    throw new ConfigurationError(`version must be like 7.2 or 7.2.4, got ${shown(options.version)}`)
  }
  const networkFaults = options.networkFaults ?? false
  if (networkFaults && options.basePort !== undefined) {
    throw new ConfigurationError('basePort does not go together with networkFaults, whose ports are any free')
  }
  checkConfig(options.config ?? {}, networkFaults)
  return { primaries, replicasPerPrimary, nodeTimeoutMs, networkFaults }
}
