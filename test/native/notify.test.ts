import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { manager, noManager } from '../datagrams.ts'

const notify = join(import.meta.dirname, '../../build/native/notify')
const dir = mkdtempSync(join(tmpdir(), 'tt-notify-'))
after(() => rmSync(dir, { recursive: true, force: true }))

const started = (socket: string): ChildProcessWithoutNullStreams => spawn(notify, { env: { NOTIFY_SOCKET: socket } })

describe('what the service manager hears', { skip: noManager }, () => {
  for (const [what, socket] of [['a path', join(dir, 'one')], ['an abstract name', `@tt-notify-${process.pid}`]] as const) {
    test(`messages, each a datagram, by ${what}; and a barrier behind the last`, async () => {
      await using heard = await manager(socket)
      const child = started(socket)
      child.stdin.write('READY=1\nSTATUS=one two\n\nWATCHDOG=1\n\n')
      await heard.until((all) => all.length === 2)
      child.stdin.end('STOPPING=1\n')
      const [code] = (await once(child, 'close')) as [number]
      assert.equal(code, 0)
      assert.deepEqual(heard.messages, ['READY=1\nSTATUS=one two', 'WATCHDOG=1', 'STOPPING=1', 'BARRIER=1 with a descriptor'])
    })
  }
})

test('a manager that is not there, and a name that is none, are one line and 1', () => {
  for (const [socket, says] of [[join(dir, 'none'), /cannot tell the service manager: No such file/], ['relative', /NOTIFY_SOCKET/], ['', /NOTIFY_SOCKET/], [`/${'x'.repeat(200)}`, /NOTIFY_SOCKET/]] as const) {
    const ran = spawnSync(notify, { env: { NOTIFY_SOCKET: socket }, input: 'READY=1\n\n', encoding: 'utf8' })
    assert.equal(ran.status, 1, socket)
    assert.match(ran.stderr, says)
    assert.equal(ran.stderr.trim().split('\n').length, 1)
  }
})
