/** Metrics of a program's database connections. */
import { Gauge, type Registry } from 'prom-client'

/** The counted state of a connection pool. */
export interface CountedPool {
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
  readonly options: { readonly max: number }
}

/** By registry, its pools by server: an API may have another one for a replica. */
const known = new WeakMap<Registry, Map<string, CountedPool>>()

/**
 * Counts a pool under the label `server`. A reopened pool replaces the earlier one.
 * @param server for people and as a label: `database`, `replica`
 */
export function measurePool (registry: Registry, server: string, pool: CountedPool): void {
  const before = known.get(registry)
  if (before) {
    before.set(server, pool)
    return
  }
  const pools = new Map([[server, pool]])
  known.set(registry, pools)
  const gauge = (described: { readonly name: string, readonly help: string }, read: (pool: CountedPool) => number) =>
    new Gauge({
      ...described,
      labelNames: ['server'],
      registers: [registry],
      collect () { for (const [server, pool] of pools) this.set({ server }, read(pool)) }
    })
  gauge({ name: 'relay_database_connections_in_use', help: 'Database connections in use' },
    it => it.totalCount - it.idleCount)
  gauge({ name: 'relay_database_connections_waiting', help: 'Requests waiting for a database connection' },
    it => it.waitingCount)
  gauge({ name: 'relay_database_connections_max', help: 'Size limit of the database connection pool' },
    it => it.options.max)
}
