import { isIPv4 } from 'node:net'
import type { Call } from '../../../model/call.ts'
import { fail, TtError } from '../../../model/errors.ts'
import type { Identity } from '../channel.ts'
import type { Exchange, ExchangeWire } from './exchange.ts'
import { fieldsFrom, piecesOf } from './fields.ts'
import { inquiry } from './inquiry.ts'
import { answer, ask, askLimitBytes, identifyField, identifyMore } from './protocol.ts'

const limitBytes = 256 << 10
const keysLimit = 1024
const entropyLimitBytes = 512

/** Tells a guest who it is to be. */
export function identification(identity: Identity): (wire: ExchangeWire, call?: Call) => Exchange<Buffer> {
  const payload = piecesOf(bodyOf(identity), askLimitBytes, { more: identifyMore, last: 0 })
  return (wire, call) => inquiry({ type: ask.identify, answer: answer.identified, payload, refusal }, wire, call)
}

function bodyOf({ hostname, address, timeMs, entropy, sshKeys }: Identity): Buffer {
  const fields: [number, string][] = []
  const refuse = (what: string): never => fail('invalid', `a guest cannot be given ${what}`)
  if (hostname !== undefined) {
    if (!/^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/.test(hostname)) refuse(`the name '${hostname.slice(0, 80)}'`)
    fields.push([identifyField.hostname, hostname])
  }
  if (address) {
    const [, host = '', prefix] = /^([\d.]+)\/(\d{1,2})$/.exec(address.cidr) ?? []
    if (!isIPv4(host) || Number(prefix) < 1 || Number(prefix) > 32) refuse(`the address '${address.cidr.slice(0, 80)}'`)
    if (!isIPv4(address.gateway)) refuse(`the gateway '${address.gateway.slice(0, 80)}'`)
    fields.push([identifyField.address, address.cidr], [identifyField.gateway, address.gateway])
    if (address.mtu !== undefined) {
      if (!Number.isInteger(address.mtu) || address.mtu < 68 || address.mtu > 0xffff) refuse(`an MTU of ${address.mtu}`)
      fields.push([identifyField.mtu, String(address.mtu)])
    }
  }
  if (timeMs !== undefined) {
    if (!(timeMs >= 0 && timeMs < 253_402_300_800_000)) refuse(`the time ${timeMs}`)
    fields.push([identifyField.clock, String(Math.floor(timeMs))])
  }
  if (entropy && entropy.length > 0) fields.push([identifyField.entropy, Buffer.from(entropy.subarray(0, entropyLimitBytes)).toString('hex')])
  if (sshKeys) {
    if (sshKeys.length > keysLimit) fail('too_large', `a guest takes at most ${keysLimit} ssh keys`)
    fields.push([identifyField.keys, ''])
    for (const key of sshKeys) {
      if (!/^[^#\s][\x20-\x7e\x80-\uffff]*$/.test(key)) refuse(`the ssh key '${key.slice(0, 80)}'`)
      fields.push([identifyField.key, key])
    }
  }
  const body = fieldsFrom(0, fields)
  if (body.length > limitBytes) fail('too_large', `what a guest is told of itself has ${body.length} bytes, and ${limitBytes} are the most`)
  return body
}

const parts: Record<string, string> = { hostname: 'its host name', address: 'its address', clock: 'the time', entropy: 'random numbers', keys: "root's ssh keys", identity: 'what it was told' }

function refusal(payload: Buffer): TtError | undefined {
  const [, errno, step = ''] = /^(E[A-Z0-9]{1,20}) ([a-z]{1,20})$/.exec(payload.toString('latin1', 0, 64)) ?? []
  const part = Object.hasOwn(parts, step) ? parts[step] : undefined
  return part === undefined ? undefined : new TtError({ code: 'failed', message: `the guest could not take ${part} (${errno})` })
}
