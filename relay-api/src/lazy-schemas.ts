/**
 * Compiles each schema of a route at its first use, which takes some milliseconds. To compile all of them took half of
 * the CPU of a start. HEAD shares the schemas of GET.
 */
import ajvCompiler from '@fastify/ajv-compiler'
import serializerCompiler from '@fastify/fast-json-stringify-compiler'
import type { FastifyServerOptions } from 'fastify'

type Compilers = NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>
/** a validator of Ajv */
type Validate = ((data: unknown, context?: never) => unknown) & { errors?: unknown }
type Serialize = (data: unknown) => string
interface Part { readonly schema: unknown }

export interface LazySchemas {
  readonly compilersFactory: Compilers
  /** A validator that compiles its schema when it is first called. */
  validator (compile: () => Validate): Validate
  /** Compiles what was not used yet. @throws Error an invalid schema, which otherwise only its first use would show */
  compileAll (): void
}

export function createLazySchemas (): LazySchemas {
  const [buildValidator, buildSerializer] = [ajvCompiler(), serializerCompiler()]
  const compilations: Array<() => unknown> = []

  const once = <Compiled>(compile: () => Compiled): () => Compiled => {
    let compiled: Compiled | undefined
    const get = () => (compiled ??= compile())
    compilations.push(get)
    return get
  }
  const validator = (compile: () => Validate): Validate => {
    const get = once(compile)
    const validate = (data: unknown, context?: never) => get()(data, context)
    // Fastify passes the context only to validators that have this property, as those of Ajv do
    return Object.defineProperty(Object.assign(validate, { schemaEnv: true }), 'errors', { get: () => get().errors })
  }
  const serializer = (compile: () => Serialize): Serialize => {
    const get = once(compile)
    return data => get()(data)
  }

  return {
    compilersFactory: {
      buildValidator: (...args: Parameters<typeof buildValidator>) => {
        const compile = buildValidator(...args)
        return perSchema(part => validator(() => compile(part as never) as Validate)) as never
      },
      buildSerializer: (...args: Parameters<typeof buildSerializer>) => {
        const compile = buildSerializer(...args)
        return perSchema(part => serializer(() => compile(part as never))) as never
      }
    },
    validator,
    compileAll () {
      for (const compile of compilations) compile()
    }
  }
}

/** Calls a function once for each schema. */
function perSchema<T> (make: (part: Part) => T): (part: Part) => T {
  const known = new Map<unknown, T>()
  return part => {
    const found = known.get(part.schema) ?? make(part)
    known.set(part.schema, found)
    return found
  }
}
