import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTextNow, removeAll, writeWhole } from '../../../base/files.ts'
import type { DriverHome } from '../../engine/engine.ts'

/** The switch that makes the whole machine a router; a machine has it once, whoever needs it. */
const file = '/proc/sys/net/ipv4/ip_forward'

/** Turns it on if it is off, and remembers that it was us. */
export function turnForwardingOn({ dir, effects }: DriverHome): void {
  if (readFileSync(file, 'utf8').trim() === '1') return
  effects.act({ kind: 'sysctl', verb: 'change', subject: file }, () => {
    writeWhole(recordIn(dir), '0\n', { durable: true })
    writeFileSync(file, '1')
  })
}

/** Turns it off again if we turned it on and nobody else of our kind is left. */
export function giveForwardingBack({ dir, effects }: DriverHome, othersNeedIt: boolean): void {
  if (readTextNow(recordIn(dir)) === undefined) return
  effects.act({ kind: 'sysctl', verb: 'change', subject: file }, () => {
    if (!othersNeedIt) writeFileSync(file, '0')
    removeAll(recordIn(dir))
  })
}

const recordIn = (dir: string) => join(dir, 'ip-forward-was')
