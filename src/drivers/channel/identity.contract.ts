import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TtError } from '../../model/errors.ts'
import type { Channel, Identity } from './channel.ts'

/** Part of the suite for every Channel: what a guest is told of itself, and what it tells, where it can. Nothing of the guest is changed. */
export function identityContract(channelOf: () => Channel, make: () => Promise<{ channel: Channel } & AsyncDisposable>): void {
  describe('an identity', () => {
    const at = (name: string, run: (identify: (identity: Identity) => Promise<void>) => Promise<void>): void => {
      it(name, async (t) => {
        const channel = channelOf()
        assert.equal(channel.features.identity, channel.identify !== undefined)
        if (!channel.identify) return t.skip('no feature identity')
        await run((identity) => Promise.resolve(channel.identify?.(identity, { signal: AbortSignal.timeout(20_000) })))
      })
    }
    at('without anything in it changes nothing, and a time that is right neither', async (identify) => {
      await identify({})
      await identify({ timeMs: Date.now() })
    })
    at('that no guest can have is refused', async (identify) => {
      const gateway = '10.0.0.1'
      const bad: Identity[] = [
        ...['', 'a b', 'a\nb', '-a', 'a'.repeat(65)].map((hostname) => ({ hostname })),
        ...['10.0.0.2', '10.0.0.2/33', '10.0.0.2/0', '10.0.0.256/8', 'x/8'].map((cidr) => ({ address: { cidr, gateway } })),
        { address: { cidr: '10.0.0.2/8', gateway: 'x' } },
        { address: { cidr: '10.0.0.2/8', gateway, mtu: 1.5 } },
        { timeMs: Number.NaN },
        { timeMs: -1 },
        { sshKeys: ['ssh-ed25519 AAAA a\nssh-ed25519 BBBB b'] },
        { sshKeys: [''] },
      ]
      for (const one of bad) await assert.rejects(identify(one), (error) => error instanceof TtError && error.code === 'invalid', JSON.stringify(one))
    })
  })

  describe('the beats of a guest', () => {
    it('say how it is, until nobody listens', async (t) => {
      const channel = channelOf()
      assert.equal(channel.features.beats, channel.beats !== undefined)
      if (!channel.beats) return t.skip('no feature beats')
      const calls = new AbortController()
      let heard = 0
      for await (const { load, memUsedMb, memTotalMb } of channel.beats({ signal: AbortSignal.any([calls.signal, AbortSignal.timeout(25_000)]) })) {
        heard++
        assert.ok(load >= 0 && memUsedMb > 0 && memUsedMb < memTotalMb, `${load} ${memUsedMb} ${memTotalMb}`)
        calls.abort()
      }
      assert.equal(heard, 1)
      for await (const beat of channel.beats({ signal: AbortSignal.abort() })) assert.fail(`${beat.load}`)
    })
    it('end with the channel', async (t) => {
      if (!channelOf().features.beats) return t.skip('no feature beats')
      await using own = await make()
      const listening = (async () => {
        for await (const beat of own.channel.beats?.({}) ?? []) assert.ok(beat)
      })()
      await own.channel.ready({ signal: AbortSignal.timeout(20_000) })
      await own.channel[Symbol.asyncDispose]()
      await listening
    })
  })
}
