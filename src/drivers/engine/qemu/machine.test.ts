import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { plainEffects } from '../../../base/effects.ts'
import { silentLog } from '../../../base/log.ts'
import { realWorld } from '../../../base/world.ts'
import { pvhElf, testOptions } from './guests.ts'
import { programEnv } from './launch.ts'
import { host, type Trials } from './machine.ts'
import { qemu } from './qemu.ts'
import { settingsOf } from './settings.ts'

const alive = setInterval(() => undefined, 1000)
const root = mkdtempSync(join(tmpdir(), 'tt-machine-'))
after(() => {
  clearInterval(alive)
  rmSync(root, { recursive: true })
})
const script = (name: string, text: string) => (writeFileSync(join(root, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 }), join(root, name))

/** What would be found here if guests came up as `boots` says. */
let count = 0
async function found({ boots = async () => undefined, limits, ...change }: Record<string, unknown> & { boots?: Trials['boot']; limits?: string }) {
  // A name of its own each time: what was found is kept for each program.
  const binary = script(`qemu-${count++}`, 'echo "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg)"')
  const said: string[] = []
  const log = { ...silentLog, info: (_: string, fields?: object) => said.push(JSON.stringify(fields)), warn: (_: string, fields?: object) => said.push(JSON.stringify(fields)) }
  const answer = await host(settingsOf({ ...testOptions, binary, ...change }), { boot: boots, cgroups: async () => limits }, log)
  return { answer, said }
}

test('it is usable once a guest came up, and knows the version and the clock', async () => {
  const { answer } = await found({ accel: 'tcg' })
  assert(answer.usable)
  assert.equal(answer.version, '7.2.22')
  assert.equal(answer.launch.accel, 'tcg')
  assert(answer.launch.tscKhz > 100_000)
  assert.equal(answer.limits, true)
})

test('KVM is taken only if a guest comes up with it within 2 s; else the reason is told', async () => {
  const tried: string[] = []
  const { answer, said } = await found({
    boots: async ({ accel }, limitMs) => {
      tried.push(`${accel} ${limitMs}`)
      if (accel === 'kvm') throw new Error('it hung')
    },
  })
  assert(answer.usable)
  assert.equal(answer.launch.accel, 'tcg')
  // Where there is no device at all it is not even tried.
  if (tried.length > 1) assert.deepEqual(tried, ['kvm 2000', 'tcg 10000'])
  assert.match(said.join(), tried.length > 1 ? /it hung/ : /\/dev\/kvm/)

  const works = await found({})
  assert(works.answer.usable)
  assert.equal(works.answer.launch.accel, tried.length > 1 ? 'kvm' : 'tcg')

  const wanted = await found({ accel: 'kvm', boots: async () => Promise.reject(new Error('it hung')) })
  assert(!wanted.answer.usable)
  assert.match(wanted.answer.why, /^KVM does not work here: /)
})

test('without cgroups it works, and says what is missing', async () => {
  const { answer, said } = await found({ accel: 'tcg', limits: 'the server is not root' })
  assert(answer.usable && !answer.limits)
  assert.match(said.join(), /not root/)
})

test('what makes it unusable is said', async () => {
  const why = async (change: Parameters<typeof found>[0]) => {
    const { answer } = await found({ accel: 'tcg', ...change })
    return answer.usable ? assert.fail('it says it is usable') : answer.why
  }
  assert.match(await why({ launcher: join(root, 'none') }), /the launcher cannot be used: ENOENT/)
  assert.match(await why({ demoOs: join(root, 'none') }), /the test guest cannot be used: ENOENT/)
  assert.match(await why({ binary: join(root, 'none') }), /cannot be run: .*ENOENT; on Debian: apt-get install qemu-system-x86/)
  assert.match(await why({ binary: script('old', 'echo "QEMU emulator version 6.2.0"') }), /6\.2\.0 is too old: 7/)
  assert.match(await why({ binary: script('odd', 'echo hello; exit 3') }), /no version, status 3/)
  assert.match(await why({ boots: async () => Promise.reject(new Error('nothing was printed')) }), /nothing was printed/)
})

test('it is found out once, also by many at once', async () => {
  let boots = 0
  const settings = settingsOf({ ...testOptions, accel: 'tcg', binary: script('once', 'echo "QEMU emulator version 8.0.0"') })
  const trials: Trials = { boot: async () => void boots++, cgroups: async () => undefined }
  const answers = await Promise.all([1, 2, 3].map(() => host(settings, trials, silentLog)))
  assert.deepEqual([boots, new Set(answers).size], [1, 1])
})

test('a test guest that does not come up is an unusable engine, and leaves nothing', async () => {
  const probe = async (name: string, options: object) => {
    const home = { dir: mkdtempSync(join(root, 'home-')), mark: 'zz0zz', world: realWorld, effects: plainEffects(), log: silentLog }
    await using engine = await qemu(home, { ...testOptions, accel: 'tcg', ...options })
    const answer = await engine.probe()
    assert.deepEqual(readdirSync(home.dir), [], name)
    await assert.rejects(engine.start({ id: 'demo.0', hostname: 'demo', cpu: 1, memMb: 16, arch: 'amd64', boot: 'kernel', files: { kernel: '/k' }, disks: [], nics: [], ports: [], options: {}, uid: process.getuid?.() === 0 ? 61_234 : undefined }), {
      code: 'unavailable',
    })
    return answer.usable ? assert.fail('it says it is usable') : answer.why
  }
  writeFileSync(join(root, 'garbage'), 'no kernel')
  assert.match(await probe('garbage', { demoOs: join(root, 'garbage') }), /QEMU did not start: .*kernel/)
  writeFileSync(join(root, 'halts'), pvhElf([0x0f, 0x0b])) // ud2, with nobody to catch it: the machine resets
  assert.match(await probe('halts', { demoOs: join(root, 'halts') }), /ended/)
})

test('settings are checked', () => {
  assert.deepEqual(settingsOf({ launcher: '/l', demoOs: '/d' }), { launcher: '/l', demoOs: '/d', binary: 'qemu-system-x86_64', emulators: programEnv.PATH, accel: 'auto', serialKeepBytes: 1 << 20 })
  for (const wrong of [{}, { launcher: '/l' }, { launcher: '/l', demoOs: 3 }, { launcher: '/l', demoOs: '/d', accel: 'hvf' }, { launcher: '/l', demoOs: '/d', serialKeepBytes: 10 }, { launcher: '/l', demoOs: '/d', accell: 'kvm' }])
    assert.throws(() => settingsOf(wrong), { code: 'invalid', message: /^options of engine qemu: / }, JSON.stringify(wrong))
})
