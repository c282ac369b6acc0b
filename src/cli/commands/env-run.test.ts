import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionFrame } from '../../model/session.ts'
import { rehearse } from '../rehearsal.ts'

const frames: SessionFrame[] = [{ type: 'begin', vm: 'demo.0', image: 'micro' }, { type: 'exit', vm: 'demo.0', code: 0 }]
const opened = async (args: string[], more = {}) => {
  const { cloud, status, err } = await rehearse(['env', 'run', 'demo', ...args], { frames, ...more })
  assert.equal(status, 0, err)
  return cloud.opened[0]
}
const refused = async (args: string[], more = {}) => {
  const { cloud, status, err } = await rehearse(['env', 'run', 'demo', ...args], { frames, ...more })
  assert.deepEqual([status, cloud.opened], [err.includes('(too_large)') ? 9 : 2, []])
  return err
}

test('F04: --script sends a local script with its arguments, and wins over --cmd', async () => {
  const files = { 'setup.sh': '#!/bin/sh\necho "$1"\n' }
  assert.deepEqual(await opened(['--script', 'setup.sh', '--', 'a b', '--fast'], { files }), { type: 'exec', vms: { envs: ['demo'] }, command: { script: files['setup.sh'], args: ['a b', '--fast'] } })
  assert.deepEqual(await opened(['--script=-'], { stdin: ['echo ', 'ü\n'] }), { type: 'exec', vms: { envs: ['demo'] }, command: { script: 'echo ü\n' } })
  const both = await rehearse(['env', 'run', 'demo', '--cmd', 'false', '--script', 'setup.sh'], { frames, files })
  assert.deepEqual(both.cloud.opened.map((request) => (request.type === 'exec' ? request.command : undefined)), [{ script: files['setup.sh'] }])
  assert.equal(both.err, '--script wins over --cmd, which is not run\n')
})

test('F10: an empty command, or what is no text, is refused', async () => {
  const files = { empty: ' \n', program: '\x7fELF\0', broken: 'echo \uFFFD', long: 'x'.repeat(8_000_001) }
  assert.match(await refused(['--cmd', ' \n ']), /the command is empty/)
  assert.match(await refused(['--cmd', '']), /the command is empty/)
  assert.match(await refused(['--']), /no program follows --/)
  assert.match(await refused([]), /no command is given/)
  assert.match(await refused(['--script', 'empty'], { files }), /the script "empty" is empty/)
  assert.match(await refused(['--script', 'program'], { files }), /no text in UTF-8 .*\n {2}push it as a file/)
  assert.match(await refused(['--script', 'broken'], { files }), /no text in UTF-8/)
  assert.match(await refused(['--script', 'long'], { files }), /more than 8000000 characters/)
  assert.match(await refused(['--script', 'none'], { files }), /the script cannot be read: ENOENT/)
  assert.match(await refused(['--script', '-', '--stdin'], { files }), /standard input is either the script or its input/)
})

test('F02: --use-ssh is the way by ssh; other ways have their names', async () => {
  assert.deepEqual(await opened(['--use-ssh', '-c', 'true']), { type: 'exec', vms: { envs: ['demo'] }, command: { shell: 'true' }, via: 'ssh' })
  assert.deepEqual(await opened(['--via=qga', '-c', 'true', '--parallel', '5', '-t', '1.5']), { type: 'exec', vms: { envs: ['demo'] }, command: { shell: 'true' }, via: 'qga', atOnce: 5, timeoutMs: 1500 })
  assert.match(await refused(['--use-ssh', '--via=qga', '-c', 'x']), /either --use-ssh or --via=qga/)
  for (const text of ['0', 'x', '10001', '-1']) assert.match(await refused([`--parallel=${text}`, '-c', 'x']), /--parallel is/)
})

test('F03: F16: several ENVs, and VMs by their name, prefix or index', async () => {
  const vms = async (...args: string[]) => {
    const request = await opened([...args, '-c', 'true'])
    return request && 'vms' in request ? request.vms : undefined
  }
  const { cloud } = await rehearse('env run demo.3 demo.5 demo.3 -m 7 -c true', { frames })
  assert.deepEqual(cloud.opened.map((request) => ('vms' in request ? request.vms : undefined)), [{ envs: ['demo'], indices: [3, 5, 7] }])
  assert.deepEqual(await vms('other', '-s', 'cent,ubu', '-m', '1,2'), { envs: ['demo', 'other'], prefixes: ['cent', 'ubu'], indices: [1, 2] })
  for (const line of ['env run demo.3 other -c x', 'env run demo demo.3 -c x', 'env run a.1 b.2 -c x']) {
    const { status, err } = await rehearse(line, { frames })
    assert.equal(status, 2, line)
    assert.match(err, /the names pick different VMs in each ENV/)
  }
  const same = await rehearse('env run a.1 b.1 -c x', { frames })
  assert.deepEqual(same.cloud.opened.map((request) => ('vms' in request ? request.vms : undefined)), [{ envs: ['a', 'b'], indices: [1] }])
})
