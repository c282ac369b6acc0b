import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import { hello } from '../../src/drivers/channel/rexec/frame.ts'
import { agreeMagic, answer, ask, askLimitBytes, execFlag, helloMagic, nonceBytes, windowBytes } from '../../src/drivers/channel/rexec/protocol.ts'
import { requestOf } from '../../src/drivers/channel/rexec/request.ts'
import { calledAgent, type LocalAgent, streamAgent } from './local-agent.ts'
import { execFrame, talker } from './talker.ts'

const exited = (code: number) => [0, code]
const killed = (name: string) => [1, ...Buffer.from(name)]

describe('the agent, spoken to frame by frame', () => {
  let agent: Awaited<ReturnType<typeof streamAgent>>
  let talk: ReturnType<typeof talker>
  before(async () => {
    agent = await streamAgent('sanitized')
    talk = talker(agent.stream)
    await talk.awake(1)
  })
  after(() => agent[Symbol.asyncDispose]())
  const works = async () => assert.deepEqual(await talk.run(9999, 'echo ok'), { stdout: 'ok\n', stderr: '', exit: exited(0) })

  describe('greeting', () => {
    it('tells who it is', async () => {
      assert.match(await talk.greet(), /^protocol=2\nagent=[\d.]+\nboot=[0-9a-f-]{36}\ninstance=[0-9a-f]{16}\ninit=0\nhostname=.+\nwindow=\nproof=[0-9a-f]{64}\n$/)
      await works()
    })
    it('finds the HELLO after a frame cut anywhere', async () => {
      const frames = talk.pack({ type: ask.ping, id: 0x01020304, payload: Buffer.alloc(40) }, { type: ask.ping, id: 7, payload: Buffer.alloc(askLimitBytes, 1) })
      const cuts = [...Array(80).keys(), askLimitBytes, frames.length - 9, frames.length - 8, frames.length - 1, frames.length]
      for (const cut of cuts) {
        await talk.greet()
        talk.write(talk.pack({ type: ask.ping, id: 0x01020304, payload: Buffer.alloc(40) }, { type: ask.ping, id: 7, payload: Buffer.alloc(askLimitBytes, 1) }).subarray(0, cut))
        await talk.greet()
        const whole = cut < 57 ? 0 : cut < frames.length ? 1 : 2
        assert.ok(talk.heard.filter(({ type }) => type === answer.pong).length <= whole, `cut at ${cut}`)
      }
      await works()
    })
    it('finds the HELLO after a HELLO cut anywhere', async () => {
      const whole = hello(Buffer.alloc(nonceBytes, 0x33))
      for (const cut of [1, 2000, ...Array.from({ length: 45 }, (_, n) => whole.length - 44 + n)]) {
        talk.write(whole.subarray(0, cut))
        await talk.greet()
      }
      await works()
    })
    it('never takes a frame that the next connection completed', async () => {
      for (const cut of [20, 300, 1500]) {
        const marker = `${agent.dir}/cut-${cut}`
        await talk.greet()
        const body = requestOf({ shell: `echo x >${marker}; : ${'x'.repeat(2000)}` }, {})
        talk.write(talk.pack(execFrame(1, body, execFlag.noStdin)).subarray(0, cut))
        await talk.greet()
        await works()
        assert.ok(!readdirSync(agent.dir).includes(`cut-${cut}`))
      }
    })
    it('takes no HELLO from inside a payload, however it looks', async () => {
      await talk.greet()
      const nonce = Buffer.alloc(nonceBytes, 0x41)
      const forged = Buffer.concat([Buffer.alloc(askLimitBytes - helloMagic.length - nonceBytes - 4), hello(nonce).subarray(-(helloMagic.length + nonceBytes + 4))])
      const awakes = talk.awakes
      const raw: Buffer[] = []
      agent.stream.on('data', (chunk: Buffer) => raw.push(chunk))
      const broken = talk.pack({ type: ask.ping, id: 0, payload: forged })
      broken.writeUInt8(0xff ^ broken.readUInt8(broken.length - 1) || 1, broken.length - 1)
      // Out of step from here: what follows is only looked through for a HELLO.
      talk.write(broken)
      talk.send({ type: ask.ping, id: 0, payload: forged }, { type: ask.ping, id: 0, payload: forged })
      await talk.awake(awakes + 1)
      await talk.greet()
      await works()
      assert.equal(Buffer.concat(raw).includes(Buffer.concat([agreeMagic, nonce])), false)
    })
    it('answers the same HELLO once', async () => {
      const nonce = Buffer.alloc(nonceBytes, 0x5a)
      await talk.greet(nonce)
      talk.exec(1, { shell: 'sleep 0.1; echo still' })
      talk.write(hello(nonce))
      const exit = await talk.next(answer.exit, 1)
      assert.deepEqual([...exit.payload], exited(0))
      assert.equal(talk.heard.filter(({ type }) => type === answer.facts).length, 0)
    })
  })

  describe('a host that breaks the protocol is told to greet again', () => {
    const body = requestOf({ shell: 'true' }, {})
    const cases: Record<string, () => void> = {
      'an unknown type': () => talk.send({ type: 0x33, id: 1 }),
      'a frame that is too long': () => talk.send({ type: ask.ping, id: 1, payload: Buffer.alloc(askLimitBytes + 1) }),
      'a wrong trailer': () => talk.write(Buffer.concat([talk.pack({ type: ask.ping, id: 1 }).subarray(0, -1), Buffer.of(1)])),
      'an EXEC without flags': () => talk.send({ type: ask.exec, id: 1 }),
      'an EXEC with unknown flags': () => talk.send(execFrame(1, body, 0x80)),
      'an EXEC between the frames of another': () => talk.send(execFrame(1, body, execFlag.more), execFrame(2, body, 0)),
      'an EXEC without end': () => {
        for (let n = 0; n < 4300; n++) talk.send(execFrame(1, Buffer.alloc(askLimitBytes - 1), execFlag.more))
      },
      'credit for no stream': () => {
        talk.exec(1, { shell: 'sleep 30' })
        talk.send({ type: ask.credit, id: 1, payload: Buffer.of(9, 1, 0, 0, 0) })
      },
      'credit beyond all bounds': () => {
        talk.exec(1, { shell: 'sleep 30' })
        for (let n = 0; n < 3; n++) talk.send({ type: ask.credit, id: 1, payload: Buffer.of(answer.stdout, 0xff, 0xff, 0xff, 0xff) })
      },
      'input beyond the window': () => {
        talk.exec(1, { shell: 'sleep 30' }, { stdin: true })
        for (let sent = 0; sent <= 2 * windowBytes; sent += askLimitBytes) talk.send({ type: ask.stdin, id: 1, payload: Buffer.alloc(askLimitBytes) })
      },
      'input for a command without': () => {
        talk.exec(1, { shell: 'sleep 30' })
        talk.send({ type: ask.stdin, id: 1, payload: Buffer.alloc(1) })
      },
      'input after its end': () => {
        talk.exec(1, { shell: 'sleep 30' }, { stdin: true })
        talk.send({ type: ask.eof, id: 1 }, { type: ask.stdin, id: 1, payload: Buffer.alloc(1) })
      },
      'a HALT without grace': () => talk.send({ type: ask.halt, id: 1 }),
    }
    for (const [name, breach] of Object.entries(cases)) {
      it(name, async () => {
        await talk.greet()
        const awakes = talk.awakes
        breach()
        await talk.awake(awakes + 1)
        await talk.greet()
        await works()
      })
    }
    const refusals: Record<string, Buffer> = {
      'an empty request': Buffer.alloc(0),
      'no program at all': requestOf({ shell: 'true' }, {}).subarray(0, 8),
      'program and shell text': Buffer.concat([body, requestOf({ argv: ['true'] }, {}).subarray(8)]),
      'a field that is cut': body.subarray(0, -1),
      'a field longer than the rest': Buffer.concat([body.subarray(0, 9), Buffer.from([0xff, 0xff, 0xff, 0xff]), body.subarray(13)]),
      'a zero inside a field': Buffer.concat([body.subarray(0, 13), Buffer.from('tr\0e\0')]),
      'an unknown field': Buffer.concat([body.subarray(0, 8), Buffer.of(0x7a), body.subarray(9)]),
      'a variable without name': Buffer.concat([body, Buffer.of(0x65, 2, 0, 0, 0), Buffer.from('=x\0')]),
    }
    for (const [name, request] of Object.entries(refusals)) {
      it(`but ${name} is refused as a request`, async () => {
        await talk.greet()
        talk.send(execFrame(1, request, execFlag.noStdin))
        assert.equal((await talk.next(answer.error, 1)).payload.toString(), 'EINVAL request')
        await works()
      })
    }
  })

  describe('what it answers', () => {
    before(async () => void (await talk.greet()))
    it('PING with its payload', async () => {
      talk.send({ type: ask.ping, id: 77, payload: Buffer.from('hello?') })
      assert.equal((await talk.next(answer.pong, 77)).payload.toString(), 'hello?')
    })
    it('HALT with a refusal, unless it may', async () => {
      talk.send({ type: ask.halt, id: 5, payload: Buffer.alloc(4) })
      assert.equal((await talk.next(answer.error, 5)).payload.toString(), 'EOPNOTSUPP halt')
    })
    it('an EXEC by starting it in a clean state', async () => {
      const { stdout } = await talk.run(3, 'grep -E "^Sig(Ign|Blk)" /proc/self/status; cut -d" " -f5,6,7 /proc/$$/stat; echo $$; ls -l /proc/self/fd | grep -c "pipe:\\|null"; ls /proc/self/fd | wc -w')
      const pid = /^(\d+)$/m.exec(stdout)?.[1]
      // Its own group and session, no terminal; 0, 1, 2 and what ls itself has opened.
      assert.equal(stdout, `SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n${pid} ${pid} 0\n${pid}\n3\n4\n`)
    })
    it('a number in use with a refusal', async () => {
      talk.exec(6, { shell: 'sleep 0.2' })
      talk.exec(6, { shell: 'true' })
      assert.equal((await talk.next(answer.error, 6)).payload.toString(), 'EEXIST request')
      await talk.next(answer.exit, 6)
    })
    it('frames for a command that is over with nothing', async () => {
      talk.send({ type: ask.kill, id: 4242 }, { type: ask.stdin, id: 4242, payload: Buffer.of(1) }, { type: ask.credit, id: 4242, payload: Buffer.alloc(5) })
      await works()
    })
  })

  describe('the end of a command', () => {
    before(async () => void (await talk.greet()))
    it('does not wait for what it leaves in the background', async () => {
      const started = performance.now()
      assert.deepEqual(await talk.run(1, 'sleep 20 & echo first'), { stdout: 'first\n', stderr: '', exit: exited(0) })
      assert.ok(performance.now() - started < 2000)
    })
    it('waits for the last words of what it leaves behind', async () => {
      const heard = new Set<string>()
      // On a busy machine the 0.02 s may take longer than the agent waits.
      for (let id = 20; id < 30 && !heard.has('first\nlate\n'); id++) heard.add((await talk.run(id, '(sleep 0.02; echo late) & echo first')).stdout)
      assert.ok(heard.has('first\nlate\n'))
    })
    it('comes in spite of somebody who never stops', async () => {
      const started = performance.now()
      const ran = await talk.run(3, '(while :; do echo again; sleep 0.02; done) & echo first')
      assert.match(ran.stdout, /^(again\n)*first\n(again\n)*$/) // Which of the two writes first is theirs to race for.
      assert.match(ran.stdout, /again/)
      assert.ok(performance.now() - started < 5000)
    })
    it('loses nothing that was written before it, however slow the host', async () => {
      const body = requestOf({ shell: 'sleep 20 & head -c 60000 /dev/zero' }, {})
      body.writeUInt32LE(1000, 0)
      talk.send(execFrame(4, body, execFlag.noStdin))
      await sleep(500)
      assert.equal(talk.heard.some(({ id, type }) => id === 4 && type === answer.exit), false)
      const credit = Buffer.of(answer.stdout, 0, 0, 1, 0)
      talk.send({ type: ask.credit, id: 4, payload: credit })
      await talk.next(answer.exit, 4)
      const bytes = talk.heard.filter(({ id, type }) => id === 4 && type === answer.stdout).reduce((sum, { payload }) => sum + payload.length, 0)
      assert.equal(bytes, 60_000)
    })
    it('by KILL takes all with it, also who left its session', async () => {
      const mark = `3${Date.now() % 1_000_000}.5`
      talk.exec(5, { shell: `setsid sleep ${mark} & sleep ${mark} & (sleep ${mark}; true) & (sleep ${mark} &); echo up; sleep ${mark}` })
      await talk.next(answer.stdout, 5)
      for (let n = 0; n < 250 && processesWith(mark).length < 7; n++) await sleep(20)
      assert.equal(processesWith(mark).length, 7)
      talk.send({ type: ask.kill, id: 5 })
      assert.deepEqual([...(await talk.next(answer.exit, 5)).payload], killed('SIGKILL'))
      for (let n = 0; n < 50 && processesWith(mark).length > 0; n++) await sleep(20)
      assert.deepEqual(processesWith(mark), [])
    })
    it('by KILL comes also when only its background is left', async () => {
      talk.exec(6, { shell: '(while :; do echo again; sleep 0.01; done) & echo first' })
      await talk.next(answer.stdout, 6)
      talk.send({ type: ask.kill, id: 6 })
      await talk.next(answer.exit, 6, 700)
    })
  })

  it('sends SIGHUP to the commands of a host that is gone, and closes their pipes', async () => {
    for (const goodbye of [() => talk.send({ type: ask.bye, id: 0 }), () => undefined]) {
      const file = `${agent.dir}/hup-${Math.random()}`
      await talk.greet()
      // A shell would tell its errors that its sleep was hung up, and die of the closed pipe.
      talk.exec(1, { shell: `exec 2>/dev/null; trap 'echo hup >>${file}; exit' HUP; echo up; while :; do sleep 0.02; done` })
      talk.exec(2, { shell: `trap '' HUP PIPE; echo up; while echo out 2>/dev/null; do sleep 0.02; done; echo pipe >>${file}` })
      await talk.next(answer.stdout, 1)
      await talk.next(answer.stdout, 2)
      goodbye()
      await talk.greet()
      await works()
      for (let n = 0; n < 100 && !(existsSync(file) && readFileSync(file).length === 9); n++) await sleep(20)
      assert.deepEqual(readFileSync(file, 'utf8').trim().split('\n').sort(), ['hup', 'pipe'])
      assert.equal(talk.heard.length, 1, 'nothing of the old ones is told to the new host')
    }
  })
})

describe('the agent under load', () => {
  it('runs hundreds at once, and holds no more than the windows of what nobody reads', async () => {
    await using under = await calledAgent('plain')
    const { channel, agent } = under
    await channel.ready({ signal: AbortSignal.timeout(10_000) })
    const waiting = Promise.withResolvers<void>()
    const calls = new AbortController()
    const stuck = Array.from({ length: 20 }, () =>
      channel.exec({ shell: 'cat /dev/zero' }, { output: () => waiting.promise }, { signal: calls.signal }).catch((fault: Error) => fault.message),
    )
    const sleepers = Array.from({ length: 300 }, (_, n) => channel.exec({ shell: `sleep 0.5; exit ${n % 100}` }, { output: () => undefined }))
    assert.deepEqual(
      (await Promise.all(sleepers)).map(({ code }) => code),
      Array.from({ length: 300 }, (_, n) => n % 100),
    )
    assert.ok(residentKb(agent) < 4096, `${residentKb(agent)} KB`)
    calls.abort()
    waiting.resolve()
    assert.deepEqual(new Set(await Promise.all(stuck)), new Set(['the call was cancelled']))
  })
  it('tells why a program cannot run', async () => {
    await using under = await calledAgent('sanitized')
    const { channel, agent } = under
    const refused = (argv: string[]) => channel.exec({ argv }, { output: () => undefined }).then(() => 'ran', (fault: Error) => fault.message)
    const ran = await channel.exec({ shell: `echo 'echo x' >script; chmod +x script; echo text >text` }, { output: () => undefined })
    assert.deepEqual(ran, { code: 0 })
    assert.match(await refused(['true', 'x'.repeat(200_000)]), /E2BIG/)
    assert.match(await refused([`${agent.dir}/script`]), /ENOEXEC/)
    assert.match(await refused([`${agent.dir}/text`]), /EACCES/)
    assert.match(await refused(['/dev/null/x']), /ENOTDIR/)
    assert.match(await refused(['./missing']), /ENOENT/)
  })
})

const processesWith = (word: string) =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${word}`)
    } catch {
      return false
    }
  })

const residentKb = ({ process }: LocalAgent) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${process.pid}/status`, 'utf8'))?.[1])
