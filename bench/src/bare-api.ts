/** The peer of the API: Fastify with one trivial statement, as a process of its own. */
import { fastify } from 'fastify'
import { Pool } from 'pg'

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.DATABASE_POOL_MAX) })
const app = fastify()
app.get('/', async () => (await pool.query('select 1 as one')).rows[0])
await app.listen({ host: '127.0.0.1', port: Number(process.env.API_PORT) })
process.on('disconnect', () => process.exit()) // never outlives the benchmark
process.send?.('ready')
