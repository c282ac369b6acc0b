import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerChannel } from 'ssh2'
import { TtError } from '../../../model/errors.ts'
import { runIn } from '../channel.contract.ts'
import { hostKeyOf } from './host-key.ts'
import { login } from './login.ts'
import { type Asked, scriptedGround } from './scripted-ground.ts'
import { ssh } from './ssh.ts'

const beforeEndMs = 1300
/** Longer than the channel listens by itself after an end, as on a busy machine. */
const afterEndMs = 1500

const isCode = (code: string, words = /./) => (error: unknown) => error instanceof TtError && error.code === code && words.test(error.message)
const inTime = (ms = 10_000) => AbortSignal.timeout(ms)
/** What the guest says before the command begins. */
const begin = (channel: ServerChannel, { mark }: Asked) => channel.stderr.write(`${mark} 4711\n`)

describe('ssh to a server that says things late, early or not at all', () => {
  it('what a command said is whole though its server tells the end first, and late', async () => {
    let told = Promise.resolve()
    const late = (asked: Asked) => {
      const channel = asked.take()
      told = sleep(beforeEndMs).then(async () => {
        channel.exit(3)
        await sleep(afterEndMs)
        begin(channel, asked)
        channel.stderr.write('err\n')
        channel.write('out\n')
        // Something it left in the background holds its output: nothing is closed.
      })
    }
    await using server = await scriptedGround({ exec: late, request: (answer) => void told.then(answer) })
    await using channel = ssh(server.guest)
    const { stdout, stderr, exit } = await runIn(channel, 'anything', {}, inTime())
    assert.deepEqual([stdout.toString(), stderr.toString(), exit], ['out\n', 'err\n', { code: 3 }])
    assert.equal(server.asked.length, 1) // Nothing is started in the guest to find that out.
  })

  it('what it sends between two answers belongs to the command too', async () => {
    let answers = 0
    let command: ServerChannel | undefined
    const exec = (asked: Asked) => {
      command = asked.take()
      begin(command, asked)
      command.exit(0)
    }
    // A server that has read the output when it answers, and sends it after that.
    const request = (answer: () => void) => {
      answer()
      if (++answers === 1) setTimeout(() => command?.write('last words\n'), 300)
    }
    await using server = await scriptedGround({ exec, request: (answer) => void sleep(answers * 600).then(() => request(answer)) })
    await using channel = ssh(server.guest)
    assert.equal((await runIn(channel, 'anything', {}, inTime())).stdout.toString(), 'last words\n')
  })

  it('an end that comes together with the beginning is heard, though something holds the channel open', async () => {
    const exec = (asked: Asked) =>
      asked.together(() => {
        const channel = asked.take()
        begin(channel, asked)
        channel.write('out\n')
        channel.exit(5)
      })
    await using server = await scriptedGround({ exec })
    await using channel = ssh(server.guest)
    const { stdout, exit } = await runIn(channel, 'anything', {}, inTime())
    assert.deepEqual([stdout.toString(), exit], ['out\n', { code: 5 }])
  })

  it('an end that was told before the connection broke is none: its output may not be whole', async () => {
    const exec = (asked: Asked) => {
      const channel = asked.take()
      begin(channel, asked)
      channel.exit(0)
      setTimeout(asked.breakOff, 100)
    }
    await using server = await scriptedGround({ exec })
    await using channel = ssh(server.guest)
    await assert.rejects(runIn(channel, 'anything', {}, inTime()), isCode('unavailable', /not known/))
  })

  it('a connection that breaks as a command is asked for: whether it began is not known, and it is not asked for again', async () => {
    await using server = await scriptedGround({ exec: ({ breakOff }) => breakOff() })
    await using channel = ssh(server.guest)
    await assert.rejects(runIn(channel, 'anything', {}, inTime()), isCode('unavailable', /not known/))
    await sleep(300)
    assert.equal(server.asked.length, 1)
  })

  it('what ends without the command ever beginning is no end of the command', async () => {
    const exec = (asked: Asked) => {
      const channel = asked.take()
      channel.write('This account is currently not available.\n')
      channel.exit(1)
      channel.end()
    }
    await using server = await scriptedGround({ exec })
    await using channel = ssh(server.guest)
    await assert.rejects(runIn(channel, 'anything', {}, inTime()), isCode('failed', /not begun/))
  })

  it('aborted before it has begun, a command is ended when it begins, and nothing of it is passed on', async () => {
    const calls = new AbortController()
    let command: ServerChannel | undefined
    const exec = (asked: Asked) => {
      const channel = asked.take()
      if (asked.mark === undefined) {
        channel.exit(0)
        channel.end()
        command?.exit('KILL')
        command?.end()
        return
      }
      command = channel
      calls.abort()
      setTimeout(() => (begin(channel, asked), channel.write('late\n')), 300)
    }
    await using server = await scriptedGround({ exec })
    await using channel = ssh(server.guest)
    let said = ''
    await assert.rejects(channel.exec({ shell: 'anything' }, { output: (_, bytes) => void (said += Buffer.from(bytes).toString()) }, { signal: calls.signal }), isCode('cancelled'))
    assert.match(server.asked[1] ?? '', /kill -KILL -4711/)
    assert.equal(said, '')
  })

  it('aborted while its server takes nothing, a command ends in time, and is ended in the guest when that can be', async () => {
    let take: (() => void) | undefined
    const exec = (asked: Asked) => {
      if (asked.mark === undefined) return void asked.take().end()
      take = () => {
        const channel = asked.take()
        setTimeout(() => begin(channel, asked), 300)
      }
    }
    await using server = await scriptedGround({ exec })
    await using channel = ssh(server.guest)
    await channel.ready()
    const began = performance.now()
    await assert.rejects(runIn(channel, 'anything', {}, inTime(200)), isCode('timeout'))
    assert.ok(performance.now() - began < 8000, `${performance.now() - began} ms`)
    take?.()
    for (let n = 0; n < 200 && server.asked.length < 2; n++) await sleep(20)
    assert.match(server.asked[1] ?? '', /kill -KILL -4711/)
  })

  it('a ping that the connection does not outlive is no answer', async () => {
    await using server = await scriptedGround({ request: (_, breakOff) => breakOff() })
    await using channel = ssh(server.guest)
    await assert.rejects(channel.ping({ signal: inTime() }), isCode('unavailable'))
  })

  it('files that end alone, without their connection, are unavailable at once, and there again afterwards', async () => {
    let opened = 0
    await using server = await scriptedGround({
      files(sftp, end) {
        const nth = ++opened
        sftp.on('LSTAT', (id) => (nth === 1 ? end() : sftp.status(id, 2)))
      },
    })
    await using channel = ssh(server.guest)
    await assert.rejects(async () => channel.files?.stat('/x', { signal: inTime() }), isCode('unavailable'))
    assert.equal(await channel.files?.stat('/x', { signal: inTime() }), undefined)
    assert.equal(opened, 2)
  })

  it('a connection that is being ended is not taken for one that stands', async () => {
    await using server = await scriptedGround({})
    const made = await login(server.guest, await hostKeyOf(server.guest), new AbortController().signal)
    assert.equal(made.over, false)
    made.end()
    assert.equal(made.over, true)
    await assert.rejects(made.ask(), isCode('unavailable'))
    await made.ended
  })
})
