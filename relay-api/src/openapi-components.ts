/**
 * Adapts the OpenAPI document for client generators:
 *
 *     {"title":"Problem","type":"object",…}  ->  {"$ref":"#/components/schemas/Problem"}   one class, however often it is used
 *     {"type":"number"}                      ->  {"type":"number","format":"double"}       else Go takes a float32
 *     {"type":"integer"}                     ->  {"type":"integer","format":"int64"}       else Java takes 32 bits
 *     "content":{"application/json":…,       ->  "content":{"application/json":…},         else clients send no type at all,
 *       "text/csv":…}                            "x-other-content":{"text/csv":…}          or hand on bytes for an object
 *     a body without required members        ->  "required":false                          else clients insist on it
 *     parameters of the query, of the path   ->  of the path, of the query                 the order of a method's arguments
 */
type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
type JsonObject = { [name: string]: Json }

const JSON_TYPE = 'application/json'
const INT32_MAX = 2 ** 31 - 1

/**
 * @param document from the schemas of the routes; not changed
 * @throws Error if two different schemas have one title
 */
export function withComponents<T extends { paths?: object, components?: object }> (document: T): T {
  const schemas: JsonObject = {}

  const refer = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(refer)
    if (typeof value !== 'object' || value === null) return value
    const adapted = withPathFirst(withOptionalBody(value))
    const referring = Object.fromEntries(Object.entries(adapted).map(([name, it]) => [name, refer(it)]))
    const schema = withOneContent(withFormat(referring))
    const { title, ...content } = schema
    if (typeof title !== 'string') return schema
    schemas[title] ??= content
    if (JSON.stringify(schemas[title]) !== JSON.stringify(content)) {
      throw new Error(`two schemas have the title ${title}`)
    }
    return { $ref: `#/components/schemas/${title}` }
  }

  const paths = refer(document.paths as Json)
  const sorted = Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => a < b ? -1 : 1))
  return { ...document, components: { ...document.components, schemas: sorted }, paths }
}

function withFormat (schema: JsonObject): JsonObject {
  if ('format' in schema) return schema
  const types = [schema.type].flat()
  if (types.includes('number')) return { ...schema, format: 'double' }
  if (!types.includes('integer')) return schema
  return { ...schema, format: typeof schema.maximum === 'number' && schema.maximum <= INT32_MAX ? 'int32' : 'int64' }
}

/** @param body of a request or an answer, or anything else */
function withOneContent (body: JsonObject): JsonObject {
  const content = body.content as JsonObject | undefined
  if (content?.[JSON_TYPE] === undefined || Object.keys(content).length === 1) return body
  const { [JSON_TYPE]: json, ...others } = content
  return { ...body, content: { [JSON_TYPE]: json }, 'x-other-content': others }
}

/** @param body of a request, or anything else */
function withOptionalBody (body: JsonObject): JsonObject {
  const content = body.content as { [JSON_TYPE]?: { schema: JsonObject } } | undefined
  const schema = content?.[JSON_TYPE]?.schema
  const isOptional = body.required === true && schema?.type === 'object' && [schema.required ?? []].flat().length === 0
  return isOptional ? { ...body, required: false } : body
}

/** @param operation or anything else */
function withPathFirst (operation: JsonObject): JsonObject {
  if (!Array.isArray(operation.parameters)) return operation
  const isOther = (it: Json) => Number((it as JsonObject).in !== 'path')
  return { ...operation, parameters: operation.parameters.toSorted((a, b) => isOther(a) - isOther(b)) }
}
