import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { kinds } from '../model/kinds.ts'
import { match, pathOf, pathTo, type Route, routes } from './routes.ts'

const found = (method: string, path: string) => {
  const hit = match(method, path)
  return hit && [hit.route?.id, hit.params]
}

describe('routes', () => {
  it('are found by method and path', () => {
    assert.deepEqual(found('GET', '/ping'), ['ping', {}])
    assert.deepEqual(found('GET', '/v1'), ['about', {}])
    assert.deepEqual(found('GET', '/v1/env'), ['list-env', {}])
    assert.deepEqual(found('DELETE', '/v1/env/demo'), ['remove-env', { name: 'demo' }])
    assert.deepEqual(found('GET', '/v1/env/demo/vm/3/logs'), ['logs', { name: 'demo', index: '3' }])
    assert.deepEqual(found('GET', '/v1/env/'), ['get-env', { name: '' }])
    for (const path of ['', '/', '/v1/', '/v2/env', '/v1/env/a/b', '/v1/env/demo/vm/3/logs/', '//ping', '/ping/', '/V1/env']) assert.equal(match('GET', path), undefined, path)
  })

  it('give names back as they were', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.string({ unit: fc.constantFrom('a', '0', '/', '%', '.', ':', '?', '#', '&', '+', ' ', '"', '\\', '\0', '\n', '\ufeff', 'ä', '\ud800', '\u{1f600}') }), (kind, name) => {
        assert.deepEqual(found('GET', pathTo(kind, name)), [`get-${kind}`, { name: name.toWellFormed() }])
      }),
    )
  })

  it('take the rest of the path for the name of an image', () => {
    assert.deepEqual(found('GET', '/v1/image/qemu:github.com/some/one'), ['get-image', { name: 'qemu:github.com/some/one' }])
    assert.deepEqual(found('GET', '/v1/image/qemu%3Agithub.com%2Fsome%2Fone'), ['get-image', { name: 'qemu:github.com/some/one' }])
  })

  it('know what is offered where the method is not', () => {
    assert.deepEqual(match('POST', '/v1/env/demo'), { route: undefined, params: { name: 'demo' }, allow: ['GET', 'PUT', 'PATCH', 'DELETE'], kind: 'env' })
    assert.deepEqual(match('DELETE', '/v1/session')?.allow, ['POST', 'GET'])
  })

  it('throw URIError on a broken percent-encoding', () => {
    for (const path of ['/v1/env/%', '/v1/env/%zz', '/v1/env/%ff', '/v1/image/a/%c3%28']) assert.throws(() => match('GET', path), URIError)
  })

  it('are each found by their own path', () => {
    assert.equal(new Set(routes.map(({ id }) => id)).size, routes.length)
    for (const route of routes as readonly Route[]) assert.equal(match(route.method, pathOf(route.id as never, { name: 'x', index: 1 }))?.route?.id, route.id)
  })
})
