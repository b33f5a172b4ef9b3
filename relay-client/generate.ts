/** `npm exec -- node relay-client/generate.ts`: writes `src/schema.ts`, the types of the API, from its own document. */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript'

export const schemaFile = fileURLToPath(new URL('./src/schema.ts', import.meta.url))

/** @param document OpenAPI 3.1, as the API serves it at `/openapi.json` */
export async function typesOf (document: unknown): Promise<string> {
  // open enums, which later versions may extend: types reject nothing at run time, so they list the current values
  const named = JSON.parse(JSON.stringify(document).replaceAll('"x-extensible-enum"', '"enum"')) as OpenAPI3
  const nodes = await openapiTS(named, { alphabetize: true, defaultNonNullable: false })
  return `/* eslint-disable */\n// Written by relay-client/generate.ts; the document says what things mean.\n\n${astToString(nodes)}`
}

if (import.meta.main) {
  const [address = 'http://127.0.0.1:8080'] = process.argv.slice(2)
  const response = await fetch(new URL('/openapi.json', address))
  if (!response.ok) throw new Error(`${response.url} answers ${response.status}; is Relay up?`)
  await writeFile(schemaFile, await typesOf(await response.json()))
  console.log(`${schemaFile} is what ${address} says`)
}
