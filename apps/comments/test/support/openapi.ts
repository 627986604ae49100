import type { Answer } from './api.js'

/** As much of JSON Schema as the document of the service uses; anything else in it is an error, not a pass. */
interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean
  readonly items?: Schema
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly pattern?: string
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly maxLength?: number
  readonly default?: unknown
  readonly description?: string
}

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >
}

/** An OpenAPI document as it was served. */
export interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

const KNOWN = new Set(
  'type properties required additionalProperties items enum const anyOf pattern format minimum maximum maxLength default description'.split(
    ' ',
  ),
)

/** What is wrong with a value according to a schema, one sentence each. Properties that are not described are wrong. */
export function mistakes(document: Document, schema: Schema, value: unknown, at = '$'): readonly string[] {
  if (schema.$ref !== undefined) {
    const target = document.components.schemas[schema.$ref.replace('#/components/schemas/', '')]
    return target === undefined
      ? [`${at}: ${schema.$ref} leads nowhere`]
      : mistakes(document, target, value, at)
  }
  const unknown = Object.keys(schema).filter((word) => !KNOWN.has(word))
  if (unknown.length > 0) return [`${at}: this test does not understand ${unknown.join(', ')}`]
  if (schema.anyOf !== undefined) {
    const all = schema.anyOf.map((one) => mistakes(document, one, value, at))
    return all.some((one) => one.length === 0) ? [] : all.flat()
  }
  const found: string[] = []
  const types = schema.type === undefined ? undefined : [schema.type].flat()
  if (types !== undefined && !types.some((type) => isOf(type, value))) {
    return [`${at}: ${JSON.stringify(value)} is no ${types.join(' or ')}`]
  }
  if (schema.enum !== undefined && !schema.enum.includes(value))
    found.push(`${at}: ${String(value)} is not allowed`)
  if ('const' in schema && schema.const !== value) found.push(`${at}: ${String(value)} is not allowed`)
  if (typeof value === 'string') found.push(...wrongText(schema, value, at))
  if (typeof value === 'number' && value < (schema.minimum ?? value))
    found.push(`${at}: ${value} is too small`)
  if (typeof value === 'number' && value > (schema.maximum ?? value))
    found.push(`${at}: ${value} is too large`)
  if (Array.isArray(value) && schema.items !== undefined) {
    const { items } = schema
    found.push(...value.flatMap((one, i) => mistakes(document, items, one, `${at}[${i}]`)))
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    found.push(...wrongFields(document, schema, value as Record<string, unknown>, at))
  }
  return found
}

function wrongText({ pattern, format, maxLength }: Schema, value: string, at: string): string[] {
  const found: string[] = []
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value))
    found.push(`${at}: does not fit ${pattern}`)
  if (format === 'date-time' && new Date(value).toISOString() !== value)
    found.push(`${at}: ${value} is no time`)
  if (maxLength !== undefined && Array.from(value).length > maxLength) found.push(`${at}: too long`)
  return found
}

function wrongFields(
  document: Document,
  schema: Schema,
  value: Record<string, unknown>,
  at: string,
): string[] {
  const { properties = {}, required = [] } = schema
  return [
    ...required.filter((name) => !(name in value)).map((name) => `${at}.${name} is missing`),
    ...Object.keys(value)
      .filter((name) => properties[name] === undefined)
      .map((name) => `${at}.${name} is not described`),
    ...Object.entries(properties).flatMap(([name, one]) =>
      name in value ? mistakes(document, one, value[name], `${at}.${name}`) : [],
    ),
  ]
}

function isOf(type: string, value: unknown): boolean {
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return typeof value === type
}

/** What is wrong with an answer according to the document. */
export function wrongAnswer(
  document: Document,
  method: string,
  path: string,
  answer: Answer,
): readonly string[] {
  const at = `${method} ${path} ${answer.status}`
  const response = document.paths[path]?.[method.toLowerCase()]?.responses[String(answer.status)]
  if (response === undefined) return [`${at} is not described`]
  const type = answer.headers.get('content-type')?.split(';')[0]
  if (response.content === undefined) return answer.body === '' ? [] : [`${at} should have no body`]
  const content = response.content[type ?? '']
  if (content === undefined) return [`${at}: ${String(type)} is not described`]
  return mistakes(document, content.schema, answer.body).map((sentence) => `${at} ${sentence}`)
}
