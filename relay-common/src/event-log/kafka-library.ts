/**
 * Loads Kafka's client library without what it does on loading and nobody here needs: it compiles the JSON schemas of
 * the options of all its clients, 38 of them, which takes a third of the 0.35 s that it costs. Loaded by way of here, a
 * schema is compiled when something is first checked against it; Relay checks its settings itself.
 */
import { createRequire } from 'node:module'

/** What the library uses of Ajv. */
interface Validate {
  (this: unknown, data: unknown, context?: unknown): unknown
  errors?: unknown
}
interface SchemaCompiler { compile (schema: unknown, meta?: boolean): Validate }

/** To be called before the library is imported for the first time; later it does nothing. */
export function loadKafkaLibrary (): void {
  const require = createRequire(import.meta.url)
  // the library's own Ajv, which need not be anybody else's
  const requireThere = createRequire(require.resolve('@platformatic/kafka'))
  const { prototype } = (requireThere('ajv/dist/core') as { default: { prototype: SchemaCompiler } }).default
  const { compile } = prototype
  prototype.compile = function (this: SchemaCompiler, ...schema) {
    return whenFirstUsed(() => compile.apply(this, schema))
  }
  try {
    require('@platformatic/kafka') // at once: nobody else compiles anything meanwhile
  } finally {
    prototype.compile = compile
  }
}

function whenFirstUsed (compile: () => Validate): Validate {
  let compiled: Validate | undefined
  const validate: Validate = function (this: unknown, ...args) {
    compiled ??= compile()
    const isValid = compiled.apply(this, args)
    validate.errors = compiled.errors
    return isValid
  }
  return validate
}
