import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realWorld, wakefulness } from '../base/world.ts'
import type { Channel } from '../drivers/channel/channel.ts'
import type { Way } from '../model/image.ts'
import type { VmRecord } from '../model/records.ts'
import type { GuestStatus } from '../model/vm.ts'
import { entered, type WaysIn } from './session-guest.ts'

interface Found {
  status?: GuestStatus
  answered?: boolean
  record?: Partial<VmRecord>
  ready?: Channel['ready']
}

/** Asks for the channel of a guest of which this is known. */
async function entering({ status, answered = true, record, ready = async () => undefined }: Found, via?: Way): Promise<string> {
  using _ = wakefulness()
  const channel = { ready } as Partial<Channel> as Channel
  const asked: (Way | undefined)[] = []
  const parts = {
    guests: {
      status: () => status,
      answered: () => answered,
      get(_id: string, way?: Way) {
        asked.push(way)
        return channel
      },
    },
    views: { vms: { get: () => ({ state: 'ready', ways: ['rexec', 'ssh'], ...record }) } },
    images: { get: () => undefined },
    world: realWorld,
  } as unknown as WaysIn
  try {
    const got = await entered(parts, { target: { id: 'u.0', vm: 'e.0', image: 'micro', engine: 'qemu' }, via, limitMs: 50, signal: new AbortController().signal })
    return got === channel ? `entered${asked.at(-1) === undefined ? '' : ` by ${asked.at(-1)}`}` : 'another'
  } catch (thrown) {
    const { code, message } = thrown as { code: string; message: string }
    return `${code}: ${message}`
  }
}

const never: Channel['ready'] = (call) => new Promise((_, reject) => call?.signal?.addEventListener('abort', () => reject(call.signal?.reason)))

test('a guest that answered and is silent now is refused at once, unless a way is named', async () => {
  const lost = { status: { state: 'lost', way: 'rexec' }, ready: never } as const
  assert.match(await entering(lost), /^unavailable: the guest answered once and is silent now/)
  assert.match(await entering(lost, 'ssh'), /^not_ready: the guest has not answered within 50 ms by ssh/)
  assert.equal(await entering({ ...lost, ready: async () => undefined }, 'ssh'), 'entered by ssh')
})

test('one that has not answered yet is waited for, one that has is not', async () => {
  assert.equal(await entering({ ready: never }), 'entered')
  assert.equal(await entering({ answered: false }), 'entered')
  assert.match(await entering({ answered: false, ready: never }), /^not_ready: the guest has not answered within 50 ms: it is still booting, or hangs$/)
})

test('what cannot be entered is said, with the reason', async () => {
  assert.match(await entering({ record: { ways: [] } }), /^unsupported: nothing in a guest of micro takes commands or files/)
  assert.equal(await entering({}, 'qga'), 'unsupported: a guest of micro has no way in by qga, but by rexec and ssh')
  assert.equal(await entering({ record: { state: 'failed', problem: { code: 'failed', message: 'no room' } } }), 'failed: it could not be made: no room')
  assert.equal(await entering({ record: { state: 'stopped' } }), 'not_ready: the guest does not run')
})
