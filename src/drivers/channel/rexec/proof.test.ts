import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TtError } from '../../../model/errors.ts'
import { runIn } from '../channel.contract.ts'
import { pack } from './frame.ts'
import { proofFor } from './proof.ts'
import { agreeMagic, answer, ask, nonceBytes, trailerBytes } from './protocol.ts'
import { channelTo, isReady } from './guest-ground.ts'

const secret = new Uint8Array(32).fill(7)
const isCode = (code: string, message = /./) => (error: unknown) => error instanceof TtError && error.code === code && message.test(error.message)

describe('rexec: who is spoken with [F14]', () => {
  it('a guest without a key is given ours, and one that knows it only a proof of this very greeting', async () => {
    await using under = await channelTo(undefined, secret)
    const guest = await under.guest(0)
    const wanted = guest.challenge(await guest.hello(), 0)
    assert.deepEqual((await guest.next(ask.key)).payload, Buffer.from(secret))
    guest.say({ type: answer.facts, id: 0, payload: Buffer.from(wanted.facts) })
    assert.equal(await isReady(under.channel), true)
    guest.stream.destroy()
    await under.world.pass(30)
    const again = await under.guest(1)
    const proof = again.challenge(await again.hello(), 1)
    const said = (await again.next(ask.proof)).payload
    assert.deepEqual(said, Buffer.from(proof.payload))
    assert.equal(said.includes(Buffer.from(secret)), false)
  })
  it('a guest that takes us for a stranger is told of, and dialled again', async () => {
    await using under = await channelTo(undefined, secret)
    const refused = assert.rejects(runIn(under.channel, 'true'), isCode('denied', /another host/))
    const guest = await under.guest(0)
    guest.challenge(await guest.hello())
    await guest.next(ask.proof)
    guest.say({ type: answer.error, id: 0, payload: Buffer.from('EACCES greeting') })
    await refused
    await guest.closed()
    await under.world.pass(200)
    await (await under.guest(1)).greet()
    assert.equal(await isReady(under.channel), true)
  })
  const lies: Record<string, (facts: string) => string> = {
    'without a proof': () => 'protocol=2\n',
    'with a wrong one': (facts) => facts.replace(/proof=./, (start) => (start.endsWith('0') ? 'proof=1' : 'proof=0')),
    'with one that is none': (facts) => facts.replace(/proof=.*/, 'proof=x'),
  }
  for (const [name, lie] of Object.entries(lies)) {
    it(`a guest ${name} is disconnected before anything is asked of it`, async () => {
      await using under = await channelTo(undefined, secret)
      const guest = await under.guest(0)
      const { facts } = guest.challenge(await guest.hello())
      await guest.next(ask.proof)
      guest.say({ type: answer.facts, id: 0, payload: Buffer.from(lie(facts)) })
      await guest.closed()
      assert.equal(await isReady(under.channel), false)
    })
  }
  it('a guest that goes on with the trailer of the greeting is disconnected', async () => {
    await using under = await channelTo(undefined, secret)
    const guest = await under.guest(0)
    const nonce = await guest.hello()
    await guest.greet(nonce)
    await under.channel.ready()
    guest.stream.write(pack(nonce.subarray(nonceBytes - trailerBytes), [{ type: answer.pong, id: 1 }]))
    await guest.closed()
  })
  const nonsense: Record<string, Buffer> = { 'an empty one': Buffer.alloc(0), 'a short one': Buffer.alloc(nonceBytes), 'a long one': Buffer.alloc(nonceBytes + 2), 'one of no kind': Buffer.alloc(nonceBytes + 1, 2) }
  for (const [name, payload] of Object.entries(nonsense)) {
    it(`a challenge that is ${name} ends the connection, and nothing of the key is said`, async () => {
      assert.equal(proofFor(payload, Buffer.alloc(nonceBytes, 1), secret), undefined)
      await using under = await channelTo(undefined, secret)
      const guest = await under.guest(0)
      const nonce = await guest.hello()
      guest.stream.write(Buffer.concat([agreeMagic, nonce, pack(nonce.subarray(nonceBytes - trailerBytes), [{ type: answer.challenge, id: 0, payload }])]))
      await guest.closed()
    })
  }
  it('a second challenge is answered no more', async () => {
    await using under = await channelTo(undefined, secret)
    const guest = await under.guest(0)
    const nonce = await guest.hello()
    guest.challenge(nonce)
    await guest.next(ask.proof)
    guest.say({ type: answer.challenge, id: 0, payload: Buffer.alloc(nonceBytes + 1, 1) })
    await guest.closed()
  })
})
