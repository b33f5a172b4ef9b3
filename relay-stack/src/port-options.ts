/** The options for ports, one for each that the stack listens on. */
import { InvalidArgumentError, Option, type Command } from 'commander'

import type { WantedPort } from './ports.ts'

/** By name: description, option, and default port. */
const declared = {
  api: ['the API', '--api-port', 8080],
  mqtt: ['MQTT', '--mqtt-port', 1883],
  metrics: ['the metrics of the API', '--metrics-port', 8084],
  processor: ['probes and metrics of the processor', '--processor-health-port', 8082],
  simulator: ['probes and metrics of the simulator', '--simulator-health-port', 8081],
  kafka: ['Kafka', '--kafka-port', 9092],
  kafkaMetrics: ['the metrics of Kafka', '--kafka-metrics-port', 9404],
  postgres: ['PostgreSQL', '--postgres-port', 5432],
  issuer: ['the issuer', '--issuer-port', 8083]
} as const
export type PortName = keyof typeof declared

const names = Object.keys(declared) as PortName[]

/** Adds them to a command, each with its variable: `--api-port` is API_PORT. */
export function addPortOptions (command: Command): void {
  for (const [what, flag, preset] of Object.values(declared)) {
    command.addOption(new Option(`${flag} <port>`, `port of ${what}; 0: any free port`)
      .env(flag.slice(2).toUpperCase().replaceAll('-', '_')).default(preset).argParser(parsePort))
  }
}

/**
 * The requested ports, or the defaults. A request for any API port may mean several stacks started at once, which would
 * all find the other default ports free; so those are any port then as well.
 */
export function parsePortOptions (command: Command): Record<PortName, WantedPort> {
  const isAsked = (name: PortName) => command.getOptionValueSource(keyOf(name)) !== 'default'
  const portOf = (name: PortName) => Number(command.opts()[keyOf(name)])
  const isAny = isAsked('api') && portOf('api') === 0
  return Object.fromEntries(names.map(name => {
    const [what, option] = declared[name]
    const isOurs = !isAsked(name) && isAny && name !== 'kafka' && name !== 'postgres'
    return [name, { what, option, isAsked: isAsked(name), port: isOurs ? 0 : portOf(name) }]
  })) as Record<PortName, WantedPort>
}

/** `--api-port` is `apiPort` among the values. */
function keyOf (name: PortName): string {
  return declared[name][1].slice(2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function parsePort (text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('Must be a port number from 0 to 65535.')
  return port
}
