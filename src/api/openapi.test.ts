import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { check } from '../model/check.ts'
import { kinds } from '../model/kinds.ts'
import { problemOf, TtError } from '../model/errors.ts'
import { AboutAnswer, ProblemAnswer, resourceAnswers } from './answers.ts'
import { type Json, openapi } from './openapi.ts'
import { apiReference } from './reference.ts'
import { routes } from './routes.ts'
import { sampleCloud } from './sample-cloud.ts'

const document = openapi()
const text = `${JSON.stringify(document, undefined, 2)}\n`
const golden = new URL('./golden/openapi.json', import.meta.url)
const operations = () => Object.entries(document.paths as Record<string, Record<string, Json>>).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })))

/** Every object in the document. */
function* objects(value: unknown): Generator<Json> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield value as Json
  for (const inner of Object.values(value)) yield* objects(inner)
}

describe('the OpenAPI document', () => {
  it('is the one that was looked at', () => {
    if (process.env.TT_GOLDEN === 'write') writeFileSync(golden, text)
    assert.equal(text, readFileSync(golden, 'utf8'), 'if the change is meant: TT_GOLDEN=write, and look at the difference')
  })

  it('[L01] has every route once, and no other', () => {
    const described = operations().map(({ path, method, operation }) => `${String(operation.operationId)} ${method.toUpperCase()} ${path}`)
    assert.deepEqual(described.sort(), routes.map(({ id, method, path }) => `${id} ${method} ${path.replace('+}', '}')}`).sort())
    assert.equal(new Set(operations().map(({ operation }) => operation.operationId)).size, routes.length)
  })

  it('refers to what it has', () => {
    for (const { $ref } of objects(document)) {
      if (typeof $ref !== 'string') continue
      const target = $ref.slice(2).split('/').reduce<unknown>((at, part) => (at as Json | undefined)?.[part], document)
      assert.ok($ref.startsWith('#/components/') && target, $ref)
    }
  })

  it('keeps the rules of OpenAPI 3.1', () => {
    for (const { path, operation } of operations()) {
      const parameters = (operation.parameters ?? []) as { name: string; in: string; required?: boolean; schema: Json }[]
      const inPath = parameters.filter((one) => one.in === 'path')
      assert.deepEqual(inPath.map(({ name }) => name), [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name), path)
      assert.ok(inPath.every(({ required }) => required === true))
      assert.ok(parameters.every(({ schema, in: place }) => typeof schema.type === 'string' && ['path', 'query', 'header'].includes(place)), path)
      assert.ok(Object.keys(operation.responses as Json).every((status) => status === 'default' || /^[1-5]\d\d$/.test(status)))
      assert.ok(Object.values(operation.responses as Json).every((one) => typeof (one as Json).description === 'string' || typeof (one as Json).$ref === 'string'))
      assert.ok(typeof operation.summary === 'string' && operation.summary.length > 0)
    }
    const types = new Set(['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'])
    for (const schema of objects(document.components)) {
      if (typeof schema.type === 'string' && !('in' in schema) && schema.type !== 'http') assert.ok(types.has(schema.type), schema.type)
      if (Array.isArray(schema.required)) assert.ok(schema.required.every((name) => Object.hasOwn((schema.properties ?? {}) as Json, String(name))) || schema.properties === undefined, JSON.stringify(schema).slice(0, 200))
    }
    assert.ok(!text.includes('$schema'))
  })

  it('[P07] describes what is answered', async () => {
    const cloud = sampleCloud()
    await cloud.collection('env').put('demo', { spec: { groups: [{ image: 'sample:micro' }] } })
    for (const kind of kinds) {
      for (const resource of (await cloud.collection(kind).list()).items) assert.equal(check(resourceAnswers[kind], JSON.parse(JSON.stringify(resource))).wrong, undefined, kind)
    }
    assert.equal(check(AboutAnswer, await cloud.about()).wrong, undefined)
    assert.equal(check(ProblemAnswer, problemOf(new TtError({ code: 'failed', message: 'x', subject: 'y', remedy: 'z' }))).wrong, undefined)
    assert.notEqual(check(resourceAnswers.env, { kind: 'env', name: 'x' }).wrong, undefined)
  })
})

describe('the reference page', () => {
  it('has every route with its parameters and fields', () => {
    const page = apiReference()
    for (const { method, path, id } of routes) assert.ok(page.includes(`<a id="${id}"></a>\n### ${method} ${path}`), id)
    assert.match(page, /^- `spec\.groups\[\]\.cpu` \(optional\): integer 1 to 65536$/m)
    assert.match(page, /^- `wait` \(query\): Answer when/m)
    assert.match(page, /^\| not_found \| 404 \| 6 \| no \|$/m)
    assert.doesNotMatch(page, /undefined|\[object|anything/)
  })
})
