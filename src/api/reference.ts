import { errorCodes } from '../model/errors.ts'
import { type Json, openapi, plainPath } from './openapi.ts'
import { routes } from './routes.ts'

/** `docs/reference/api.md`: what `/v1/openapi.json` says, for people. Pure; the check that the page is fresh compares its text. */
export function apiReference(): string {
  const { paths } = openapi() as { paths: Record<string, Record<string, Operation>> }
  return [
    '# HTTP API',
    '',
    '<!-- Made by script/docs from src/api; do not edit. -->',
    '',
    'Every request but `GET /ping` carries `authorization: Bearer TOKEN`. Bodies are JSON. `HEAD` is offered wherever `GET` is, `OPTIONS` everywhere.',
    'A refused request is answered with `{"error": {"code", "message", "subject", "remedy"}}` and the status of its code.',
    'The same as OpenAPI 3.1: `GET /v1/openapi.json`.',
    '',
    '| | | |',
    '|---|---|---|',
    ...routes.map(({ method, path, summary, id }) => `| ${method} | [\`${path}\`](#${id}) | ${summary} |`),
    '',
    '## Codes',
    '',
    '| code | HTTP status | exit status | may succeed later |',
    '|---|--:|--:|---|',
    ...Object.entries(errorCodes).map(([code, { http, exit, retry }]) => `| ${code} | ${http} | ${exit} | ${retry ? 'yes' : 'no'} |`),
    '',
    ...routes.flatMap(({ method, path, summary, id }) => section({ id, title: `${method} ${path}`, summary, operation: paths[plainPath(path)]?.[method.toLowerCase()] as Operation })),
  ].join('\n')
}

interface Operation {
  parameters?: { name: string; in: string; description?: string; schema: Json }[]
  requestBody?: { content: Record<string, { schema: Json }> }
  responses: Record<string, { description?: string; content?: Json }>
}

function section({ id, title, summary, operation }: { id: string; title: string; summary: string; operation: Operation }): string[] {
  const parameters = (operation.parameters ?? []).filter((one) => one.in !== 'path')
  const bodies = Object.entries(operation.requestBody?.content ?? {})
  const answers = Object.entries(operation.responses).filter(([status]) => status !== 'default')
  return [
    `<a id="${id}"></a>`,
    `### ${title}`,
    '',
    `${summary}.`,
    '',
    ...parameters.map((one) => `- \`${one.name}\` (${one.in}): ${one.description ?? summaryOf(one.schema)}`),
    ...(parameters.length > 0 ? [''] : []),
    ...bodies.flatMap(([type, { schema }]) => [`Body, \`${type}\`:`, '', ...fields(schema), '']),
    ...answers.map(([status, { description = '', content = {} }]) => `${status}: ${description}${typesOf(content)}.`),
    '',
  ]
}

const typesOf = (content: Json) => (Object.keys(content).length > 0 ? ` (${Object.keys(content).map((type) => `\`${type}\``).join(', ')})` : '')

/** The members of an object, one per line, nested ones by their path; every form of a choice in turn. */
function fields(schema: Json, path = ''): string[] {
  const forms = (schema.oneOf ?? schema.anyOf) as Json[] | undefined
  if (forms && path === '') return forms.flatMap((form, at) => [...(at === 0 ? [] : ['', 'or', '']), ...fields(form)])
  const required = (schema.required ?? []) as string[]
  return Object.entries((schema.properties ?? {}) as Record<string, Json>).flatMap(([name, member]) => {
    const here = path === '' ? name : `${path}.${name}`
    const inner = member.type === 'array' ? (member.items as Json) : member
    const deeper = inner.properties === undefined ? [] : fields(inner, member.type === 'array' ? `${here}[]` : here)
    return [`- \`${here}\`${required.includes(name) ? '' : ' (optional)'}: ${[member.description, summaryOf(member)].filter(Boolean).join('; ')}`, ...deeper]
  })
}

function summaryOf(schema: Json): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(' or ')
  const choice = (schema.anyOf ?? schema.oneOf) as Json[] | undefined
  const items = schema.items as Json | undefined
  const what = choice ? choice.map(summaryOf).join(' or ') : items ? `list of ${summaryOf(items)}` : String(schema.type ?? 'anything')
  const range = [schema.minimum, schema.maximum]
  const limits = range.every((one) => one !== undefined) ? ` ${range.join(' to ')}` : ''
  const preset = schema.default === undefined ? '' : `, \`${JSON.stringify(schema.default)}\` if left out`
  return `${what}${limits}${preset}`
}
