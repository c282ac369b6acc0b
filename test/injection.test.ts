import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type ServerGround, serverGround } from './e2e/ground.ts'

const roomy = ['--engine', 'fake', '--cpu-total', '1000', '--mem-total', '100000', '--disk-total', '1000000']

describe('J06: what is meant for a shell, a path or a parser has no effect on the host', () => {
  let server: ServerGround
  let marks: string
  let token: string
  let around: string[]
  before(async () => {
    server = serverGround(roomy)
    await server.start()
    marks = join(server.dir, 'marks')
    mkdirSync(marks)
    token = readFileSync(join(server.dir, 'data', 'token'), 'utf8').trim()
    assert.equal((await server.tt('env', 'add', 'here', '-s', 'micro')).code, 0)
    around = readdirSync(server.dir).sort()
  })
  after(() => server[Symbol.asyncDispose]())

  /** Texts that would leave a file in `marks`, or leave the place they belong to, if anything took them for more than text. */
  const attempts = () => {
    const touch = `touch ${marks}/hit`
    return [
      `$(${touch})`, `\`${touch}\``, `; ${touch}`, `| ${touch} #`, `&& ${touch}`, `a\n${touch}\n`, `"; ${touch}; "`, `'; ${touch}; '`, `x -exec ${touch}`, `--prefix=$(${touch})`, `-o ProxyCommand=${touch}`,
      `../../../../${marks}/hit`, `${marks}/hit`, `..%2f..%2f${encodeURIComponent(`${marks}/hit`)}`, '..', '.', '../place.json', 'demo/../../token', 'a\0b', '%00', '{"__proto__":{"role":"admin"}}', '__proto__', 'constructor',
      '\u202egnp', '\r\nx-injected: 1', ' ', '-', '--', '*', '~', '$HOME', '${IFS}', '%s%s%n', "' or 1=1 --", '<script>alert(1)</script>', '{{7*7}}', 'x'.repeat(5000), '\ud800', '1e9', '-1', '٣',
    ]
  }

  /** Looks bad and is a good name. */
  const isName = (text: string) => text === 'constructor' || text === '1e9'

  async function unharmed(what: string): Promise<void> {
    assert.deepEqual(readdirSync(marks), [], `${what} was run`)
    assert.deepEqual(readdirSync(server.dir).sort(), around, `${what} made files`)
    assert.equal(({} as { role?: string }).role, undefined)
    const { envs } = (await server.json('env', 'list')) as { envs: { name: string }[] }
    assert.deepEqual(envs.map(({ name }) => name), ['here'], `${what} made an ENV`)
  }

  it('as names, images, ports, lists and paths given to the client', { timeout: 300_000 }, async () => {
    const lines = (text: string) => [['env', 'add', text, '-s', 'micro'], ['env', 'add', 'never', '-s', text], ['env', 'add', 'never', '-s', 'micro', '-p', text], ['env', 'show', text], ['image', 'build', text], ['config', '--client-id', text]]
    const given = attempts().filter((text) => !text.includes('\0'))
    // A process each: several at once, and of six places to put each text only the two next in turn.
    for (let at = 0; at < given.length; at += 4) {
      await Promise.all(
        given.slice(at, at + 4).flatMap((text, more) =>
          [0, 3].map(async (shift) => {
            const line = lines(text)[(at + more + shift) % 6] ?? []
            const { code, stdout } = await server.tt(...line)
            if (isName(text) && line[2] === text && line[1] === 'add') return assert.equal((await server.tt('env', 'del', text)).code, 0)
            if (line[1] === 'add' || line[0] !== 'env') assert.notEqual(code, 0, `${line.join(' ')} did something: ${stdout}`)
          }),
        ),
      )
    }
    await unharmed('a word of the client')
  })

  it('in paths, queries and bodies of the API, which answers every one of them', async () => {
    const ask = async (method: string, path: string, body?: unknown) => {
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) })
      await answer.text()
      return answer.status
    }
    for (const text of attempts()) {
      const name = encodeURIComponent(text.toWellFormed())
      const group = { image: 'micro', count: 1 }
      const bodies: [string, string, unknown][] = [
        ['PUT', `/v1/env/${name}`, { spec: { groups: [group] } }],
        ['PUT', '/v1/env/never', { spec: { groups: [{ ...group, image: text }] } }],
        ['PUT', '/v1/env/never', { spec: { groups: [{ ...group, ports: [text] }] } }],
        ['PUT', '/v1/env/never', { spec: { groups: [group], [text]: 1 } }],
        ['PUT', '/v1/env/never', { spec: { groups: [group] }, uid: text }],
        ['PATCH', '/v1/env/here', { spec: { [text]: text } }],
        ['DELETE', `/v1/env/${name}`, undefined],
        ['GET', `/v1/env?under=${name}`, undefined],
        ['GET', `/v1/image/${name}`, undefined],
        ['GET', `/v1/env/here/vm/${name}/logs`, undefined],
        ['POST', '/v1/session', { type: 'build', image: text }],
        ['POST', `/v1/env/${name}/run`, { shell: 'true' }],
        ['POST', '/v1/env/here/run', { argv: ['true'], cwd: text, env: { [text]: text } }],
      ]
      for (const [method, path, body] of bodies) {
        // A URL of dots alone is turned into another before it is sent: it goes out as it is, below.
        if (name === '.' || name === '..') continue
        const status = await ask(method, path, body)
        assert.ok(status >= 200 && status < 600 && status !== 500, `${method} ${path} ${JSON.stringify(body)}: ${status}`)
        if (method === 'PUT' && path === '/v1/env/never') assert.ok(status >= 400, `${JSON.stringify(body)}: ${status}`)
      }
    }
    await unharmed('a request')
  })

  it('in raw paths that lead out of their place', async () => {
    for (const path of ['/v1/env/..', '/v1/env/../../token', '/../../../../etc/passwd', '//etc/passwd', '/v1/image/../../../token', '/v1/image/..%2f..%2ftoken', '/v1/env/here/vm/..%2f..%2f..%2ftoken/logs', '/%2e%2e/%2e%2e/token', '/v1/env/here%00.json', 'http://elsewhere/v1', '*']) {
      const text = await rawGet(path)
      assert.match(text, /^HTTP\/1\.1 (200|4\d\d) /, path)
      assert.ok(!text.includes(token) && !text.includes('root:'), path)
    }
    await unharmed('a path')
  })

  it('as commands of guests, which run in the guest or not at all', { timeout: 120_000 }, async () => {
    for (const command of [`touch ${marks}/hit`, `$(touch ${marks}/hit)`, `true; touch ${marks}/hit`, `sh -c 'touch ${marks}/hit'`, `echo x > ${marks}/hit`, `\`touch ${marks}/hit\``]) {
      await server.tt('env', 'run', 'here', '-c', command)
      await server.tt('env', 'run', 'here', '--', ...command.split(' '))
    }
    await unharmed('a command')
    writeFileSync(join(marks, 'hit'), '')
    await assert.rejects(unharmed('the proof that this test can see'), /was run/)
    assert.ok(existsSync(join(marks, 'hit')))
  })

  const rawGet = (path: string) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect(server.port, '127.0.0.1')
      let text = ''
      socket.on('data', (piece) => (text += String(piece))).on('close', () => resolve(text)).on('error', reject)
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\nconnection: close\r\n\r\n`)
    })
})
