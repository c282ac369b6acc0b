import { join } from 'node:path'
import { argvOf } from '../../../base/processes.ts'
import { engineContract } from '../engine.contract.ts'
import { demoPlan, echoPlan, screenPlan, testOptions } from './guests.ts'
import { qemu } from './qemu.ts'

await engineContract({
  name: 'qemu',
  factory: qemu,
  options: testOptions,
  plan: demoPlan,
  badPlan: (id, dir) => ({ ...demoPlan(id, dir), files: {} }),
  failingPlan: {
    plan: (id, dir) => ({ ...demoPlan(id, dir), disks: [{ path: join(dir, 'missing'), format: 'raw', sizeBytes: 1 }] }),
    says: /missing.*No such file/,
  },
  async hardware(engine, id) {
    const now = await engine.inspect(id)
    const words = now.state === 'running' ? (argvOf(now.pid ?? 0) ?? []) : []
    return { cpu: Number(words[words.indexOf('-smp') + 1]), memMb: Number.parseInt(words[words.indexOf('-m') + 1] ?? '', 10) }
  },
  prints: /!(?:AB)+A?$/,
  shows: screenPlan,
  answers: { plan: echoPlan, send: 'tell me', comes: /tell me/ },
})
