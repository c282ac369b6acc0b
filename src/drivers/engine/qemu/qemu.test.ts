import { join } from 'node:path'
import { engineContract } from '../engine.contract.ts'
import { demoPlan, echoPlan, testOptions } from './guests.ts'
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
  prints: /!(?:AB)+A?$/,
  answers: { plan: echoPlan, send: 'tell me', comes: /tell me/ },
})
