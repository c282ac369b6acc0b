import { chownSync, closeSync, copyFileSync, existsSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plan } from '../../../model/plan.ts'

/** What the tests of this engine run: `demo-os`, and a guest that sends back what comes on its serial line. */

const built = (path: string) => fileURLToPath(new URL(`../../../../build/${path}`, import.meta.url))

export const testOptions = { launcher: built('native/launcher'), demoOs: built('guest/demo-os') }

export const testUid = process.getuid?.() === 0 ? 61_234 : undefined

/** `demo-os` with one disk and one port. Copied, because the checkout may lie where the guest's user may not pass. */
export function demoPlan(id: string, dir: string): Plan {
  const kernel = join(dir, 'demo-os')
  if (!existsSync(kernel)) copyFileSync(testOptions.demoOs, kernel)
  return { id, hostname: id.replace('.', '-'), cpu: 1, memMb: 16, arch: 'amd64', boot: 'kernel', files: { kernel }, disks: [disk(id, dir)], nics: [], ports: ['tt.agent'], uid: testUid, options: {} }
}

export function echoPlan(id: string, dir: string): Plan {
  const kernel = join(dir, 'echo')
  writeFileSync(kernel, pvhElf(echo))
  return { ...demoPlan(id, dir), files: { kernel } }
}

/** A disk whose boot sector does nothing for ever, on a machine with a screen. */
export function screenPlan(id: string, dir: string): Plan {
  const plan = demoPlan(id, dir)
  const [{ path } = { path: '' }] = plan.disks
  const sector = Buffer.alloc(512)
  sector.set([0xf4, 0xeb, 0xfd]) // hlt; jmp back
  sector.writeUInt16LE(0xaa55, 510)
  const file = openSync(path, 'r+')
  writeSync(file, sector)
  closeSync(file)
  return { ...plan, memMb: 32, boot: 'disk', files: {} }
}

function disk(id: string, dir: string): Plan['disks'][0] {
  const path = join(dir, `${id}.raw`)
  const sizeBytes = 1 << 20
  if (!existsSync(path)) {
    writeFileSync(path, Buffer.alloc(sizeBytes, `data of ${id}.`))
    if (testUid !== undefined) chownSync(path, testUid, testUid)
  }
  return { path, format: 'raw', sizeBytes }
}

/** 32-bit code: prints `>`, then for ever waits for a byte on COM1 and sends it back. */
const echo = [
  [0x66, 0xba, 0xf8, 0x03, 0xb0, 0x3e, 0xee], // mov dx, 0x3f8; mov al, '>'; out dx, al
  [0xb2, 0xfd], // mov dl, 0xfd
  [0xec, 0xa8, 0x01, 0x74, 0xfb], // wait: in al, dx; test al, 1; jz wait
  [0xb2, 0xf8, 0xec, 0xee], // mov dl, 0xf8; in al, dx; out dx, al
  [0xeb, 0xf3], // jmp back to mov dl, 0xfd
].flat()

/** An ELF that QEMU loads at 1 MiB and enters in 32-bit mode, by its PVH note: https://xenbits.xen.org/docs/unstable/misc/pvh.html */
export function pvhElf(code: number[]): Buffer {
  const [base, note, entry] = [0x10_0000, 128, 160]
  const file = Buffer.alloc(entry + code.length)
  const words = (at: number, ...values: number[]) => values.forEach((value, index) => file.writeUInt32LE(value, at + 4 * index))
  file.write('\x7fELF\x01\x01\x01', 'latin1')
  words(16, 0x0003_0002, 1, base + entry, 52, 0, 0, 0x0020_0034, 2) // executable, i386; headers of 52 and 32 bytes, two of those
  words(52, 1, 0, base, base, file.length, file.length, 7, 4096)
  words(84, 4, note, base + note, base + note, 20, 20, 4, 4)
  words(note, 4, 4, 18, 0x006e_6558, base + entry) // owner "Xen", type XEN_ELFNOTE_PHYS32_ENTRY
  file.set(code, entry)
  return file
}
