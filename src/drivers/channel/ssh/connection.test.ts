import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it, test } from 'node:test'
import { TtError } from '../../../model/errors.ts'
import { runIn } from '../channel.contract.ts'
import { noise, put } from '../files-ground.ts'
import { ssh } from './ssh.ts'
import { noSshd, sshdGround } from './sshd-ground.ts'

if (noSshd !== false) test('ssh with little room', { skip: noSshd }, () => undefined)
else
  describe('ssh to a server that allows few channels', () => {
    for (const most of [1, 2])
      it(`${most} over each connection: commands, signals and files find others`, async () => {
        await using ground = await sshdGround({ lines: [`MaxSessions ${most}`, 'MaxStartups 100'] })
        await using channel = ssh(ground.guest)
        const ran = await Promise.all(Array.from({ length: 8 }, (_, n) => runIn(channel, `sleep 0.5; echo ${n}`, {}, AbortSignal.timeout(60_000))))
        assert.deepEqual(ran.map(({ stdout }) => stdout.toString()), Array.from({ length: 8 }, (_, n) => `${n}\n`))
        const calls = new AbortController()
        const dir = join(ground.dir, 'pids')
        mkdirSync(dir)
        const running = runIn(channel, `touch ${dir}/$$; sleep 300`, {}, calls.signal)
        while (readdirSync(dir).length === 0) await sleep(20)
        calls.abort()
        await assert.rejects(running, (error) => error instanceof TtError && error.code === 'cancelled')
        await gone(dir)
        if (most === 1) return
        await put(channel.files ?? assert.fail(), join(ground.dir, 'f'), noise(10_000))
      })

    it('many that are aborted at once are all ended', async () => {
      await using ground = await sshdGround({ lines: ['MaxSessions 10', 'MaxStartups 100'] })
      await using channel = ssh(ground.guest)
      const dir = join(ground.dir, 'pids')
      mkdirSync(dir)
      await channel.files?.stat('/') // Files take a channel too.
      const calls = new AbortController()
      const running = Array.from({ length: 14 }, () => runIn(channel, `touch ${dir}/$$; sleep 300`, {}, calls.signal))
      while (readdirSync(dir).length < 14) await sleep(20)
      calls.abort()
      for (const { status } of await Promise.allSettled(running)) assert.equal(status, 'rejected')
      await gone(dir)
    })
  })

/** Every process that left its number there. */
async function gone(dir: string): Promise<void> {
  const alive = () => readdirSync(dir).filter((pid) => existsSync(`/proc/${pid}`))
  for (let n = 0; n < 100 && alive().length > 0; n++) await sleep(50)
  const left = alive()
  for (const pid of left) process.kill(-Number(pid), 'SIGKILL')
  assert.deepEqual(left, [])
}
