import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import { answer, ask, execFlag, windowBytes } from '../../src/drivers/channel/rexec/protocol.ts'
import { requestOf } from '../../src/drivers/channel/rexec/request.ts'
import { streamAgent } from './local-agent.ts'
import { execFrame, talker } from './talker.ts'

const tty = { columns: 80, rows: 24 }

describe('F06: the agent gives terminals', () => {
  let agent: Awaited<ReturnType<typeof streamAgent>>
  let talk: ReturnType<typeof talker>
  let id = 0
  before(async () => {
    agent = await streamAgent('sanitized')
    talk = talker(agent.stream)
    await talk.awake(1)
  })
  after(() => agent[Symbol.asyncDispose]())

  const begin = (shell: string, flags = 0) => talk.send(execFrame(++id, requestOf({ shell }, { tty }), flags))
  const shown = () => Buffer.concat(talk.heard.filter((one) => one.id === id && one.type === answer.stdout).map(({ payload }) => payload)).toString()
  const sees = async (text: string) => {
    for (let n = 0; n < 500 && !shown().includes(text); n++) await sleep(20)
    assert.ok(shown().includes(text), `${text} in ${shown()}`)
  }
  const type = (text: string) => talk.send({ type: ask.stdin, id, payload: Buffer.from(text) })
  const ends = async () => [...(await talk.next(answer.exit, id)).payload]
  const run = async (shell: string) => {
    begin(shell, execFlag.noStdin)
    const exit = await ends()
    return { shown: shown(), exit }
  }

  it('that are the controlling one of a session of its own, and the only thing a command is given', async () => {
    await talk.greet()
    const { shown } = await run('tty; cut -d" " -f5,6,8 /proc/$$/stat; echo $$; ls /proc/self/fd | wc -w; echo x >/dev/tty; stty -a | grep -c "iutf8.*" ')
    const [name, numbers, pid, count, said, utf8] = shown.split('\r\n')
    assert.match(name ?? '', /^\/dev\/pts\/\d+$/)
    assert.equal(numbers, `${pid} ${pid} ${pid}`) // group, session, and the group in front
    assert.deepEqual([count, said, utf8], ['4', 'x', '1'])
  })
  it('that tell of another size', async () => {
    await talk.greet()
    begin(`trap 'stty size' WINCH; echo up; cat`)
    await sees('up')
    talk.send({ type: ask.size, id, payload: Buffer.of(0x84, 0, 0x2c, 1) })
    await sleep(100)
    type('\x04')
    await ends()
    assert.match(shown(), /300 132/)
  })
  it('and are done when the leader of the session is, whoever still holds them', async () => {
    await talk.greet()
    const started = performance.now()
    const { shown, exit } = await run(`setsid sleep 20 & (trap '' HUP; sleep 20) & echo last; exit 7`)
    assert.deepEqual([shown, exit], ['last\r\n', [0, 7]])
    assert.ok(performance.now() - started < 3000)
  })
  it('and pass signals on to the job in front, and a hang-up to all', async () => {
    await talk.greet()
    const file = `${agent.dir}/hung-up`
    begin(`exec sh -i 2>&1`)
    type('PS1=; echo re""ady\r')
    await sees('ready')
    type('sleep 33 && echo no; echo "was $?"\r')
    await sleep(300)
    talk.send({ type: ask.signal, id, payload: Buffer.from('SIGTERM') })
    await sees('was 143')
    type(`sh -c 'trap "echo hup >>${file}; exit" HUP; echo job""-up; while :; do sleep 0.02; done' 2>/dev/null\r`)
    await sees('job-up')
    talk.send({ type: ask.eof, id })
    await ends()
    for (let n = 0; n < 200 && !(existsSync(file) && readFileSync(file, 'utf8') !== ''); n++) await sleep(20)
    assert.equal(readFileSync(file, 'utf8'), 'hup\n')
  })
  it('that end with their host, with all the jobs of their session', async () => {
    for (const goodbye of [() => talk.send({ type: ask.bye, id: 0 }), () => undefined]) {
      await talk.greet()
      const file = `${agent.dir}/orphan-${Math.random()}`
      begin(`exec 2>&1; sh -i`)
      type('PS1=; echo re""ady\r')
      await sees('ready')
      type(`sh -c 'trap "echo hup >>${file}; exit" HUP; echo job""-up; while :; do sleep 0.02; done' 2>/dev/null\r`)
      await sees('job-up')
      goodbye()
      await talk.greet()
      for (let n = 0; n < 200 && !(existsSync(file) && readFileSync(file, 'utf8') !== ''); n++) await sleep(20)
      assert.equal(readFileSync(file, 'utf8'), 'hup\n')
    }
  })
  it('and take what is typed as fast as it is read, and hold no more', async () => {
    await talk.greet()
    begin('stty raw -echo; echo up; head -c 1000000 | wc -c; sleep 30')
    await sees('up')
    let window = windowBytes
    const piece = Buffer.alloc(4000, 'a')
    for (let sent = 0; sent < 1_000_000; sent += piece.length) {
      while (window < piece.length) window += (await talk.next(answer.taken, id)).payload.readUInt32LE()
      talk.send({ type: ask.stdin, id, payload: piece })
      window -= piece.length
    }
    await sees('1000000')
    talk.send({ type: ask.kill, id })
    assert.deepEqual(await ends(), [1, ...Buffer.from('SIGKILL')])
  })
  it('of sizes that are some, to commands that are to have one', async () => {
    await talk.greet()
    for (const [size, answers] of [['0 1', false], ['1 0', false], ['65536 1', false], ['80', false], ['80 24 1', false], ['x 1', false], ['', false], ['1 1', true], ['65535 65535', true]] as const) {
      const body = requestOf({ shell: 'true' }, {})
      const text = Buffer.from(`${size}\0`)
      const field = Buffer.concat([Buffer.of(0x74, text.length - 1, 0, 0, 0), text])
      talk.send(execFrame(++id, Buffer.concat([body, field]), execFlag.noStdin))
      if (answers) assert.deepEqual(await ends(), [0, 0])
      else assert.equal((await talk.next(answer.error, id)).payload.toString(), 'EINVAL request', size)
    }
    const breaches: [terminal: boolean, payload: Buffer][] = [[false, Buffer.of(1, 0, 1, 0)], [true, Buffer.of(0, 0, 1, 0)], [true, Buffer.of(1, 0, 0, 0)], [true, Buffer.of(1, 0, 1)], [true, Buffer.alloc(0)]]
    for (const [terminal, payload] of breaches) {
      await talk.greet()
      const awakes = talk.awakes
      talk.send(execFrame(++id, requestOf({ shell: 'sleep 30' }, terminal ? { tty } : {}), 0))
      talk.send({ type: ask.size, id, payload })
      await talk.awake(awakes + 1)
    }
  })
})
