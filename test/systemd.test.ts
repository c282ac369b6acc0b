import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { serverGround } from './e2e/ground.ts'
import { manager, noManager } from './datagrams.ts'

const leashed = spawnSync(join(import.meta.dirname, '../build/native/leash'), ['--', 'true']).status === 0

describe('a server under a service manager', { skip: noManager }, () => {
  for (const onExit of ['keep', 'destroy']) {
    test(`says when it answers, lives, reads its settings again and stops, with --on-exit ${onExit}`, { timeout: 60_000, skip: onExit === 'destroy' && !leashed ? 'no leash can be made here' : false }, async () => {
      await using server = serverGround(['--engine', 'fake', '--on-exit', onExit])
      await using heard = await manager(`@tt-service-${process.pid}-${onExit}`)
      const socket = `@tt-service-${process.pid}-${onExit}`
      const child = server.launch({ NOTIFY_SOCKET: socket, WATCHDOG_USEC: '300000' })
      await heard.until((all) => all.length >= 3)
      assert.equal(heard.messages[0], `READY=1\nSTATUS=answers at 127.0.0.1:${server.port}`)
      assert.deepEqual(heard.messages.slice(1, 3), ['WATCHDOG=1', 'WATCHDOG=1'])
      assert.ok((await fetch(`http://127.0.0.1:${server.port}/ping`)).ok, 'it is said when it is true')

      child.kill('SIGHUP')
      await heard.until((all) => all.filter((message) => message.startsWith('READY=1')).length === 2)
      const told = heard.messages.filter((message) => message !== 'WATCHDOG=1')
      assert.deepEqual(told.slice(1), ['RELOADING=1', 'READY=1'])

      child.kill('SIGTERM')
      await server.gone()
      await heard.until((all) => all.at(-1) === 'BARRIER=1 with a descriptor')
      assert.ok(heard.messages.includes('STOPPING=1\nSTATUS=stopping'))
      assert.equal(child.exitCode, 0)
    })
  }

  test('a watchdog of another process is not fed, and without a manager nothing is started', { timeout: 60_000 }, async () => {
    await using server = serverGround(['--engine', 'fake'])
    const socket = `@tt-service-${process.pid}-other`
    await using heard = await manager(socket)
    await server.start({ NOTIFY_SOCKET: socket, WATCHDOG_USEC: '100000', WATCHDOG_PID: '1' })
    await heard.until((all) => all.length >= 1)
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal(heard.messages.length, 1)
    await server.stop()
    await server.start({ WATCHDOG_USEC: '100000' })
    assert.equal((await server.tt('status')).code, 0)
  })

  test('a server whose start fails never says that it is ready', { timeout: 60_000 }, async () => {
    await using server = serverGround(['--engine', 'fake', '--subnet', '10.0.0.0/99'])
    const socket = `@tt-service-${process.pid}-failed`
    await using heard = await manager(socket)
    const child = server.launch({ NOTIFY_SOCKET: socket })
    await server.gone()
    assert.notEqual(child.exitCode, 0)
    assert.deepEqual(heard.messages.filter((message) => message.includes('READY')), [])
  })
})
