import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Problem } from '../model/errors.ts'
import type { SessionFrame } from '../model/session.ts'
import type { Resource } from '../model/kinds.ts'
import type { TaskStatus, TaskVerb } from '../model/task.ts'
import { type Played, rehearse, type Stage } from './rehearsal.ts'
import type { Step } from './scripted-cloud.ts'
import { envOf, hostOf, imageOf, vmOf } from './specimens.ts'

const golden = join(import.meta.dirname, 'golden')
const played = new Set<string>()

/** What was written and the status, as in golden/NAME.txt. TT_UPDATE_GOLDEN=1 writes the files instead: read the difference before it is kept. */
function shows(name: string, args: string | readonly string[], stage: Stage = {}): void {
  played.add(`${name}.txt`)
  test(`golden: ${name}`, async () => {
    const transcript = transcriptOf(args, await rehearse(args, stage))
    const path = join(golden, `${name}.txt`)
    if (process.env.TT_UPDATE_GOLDEN) writeFileSync(path, transcript)
    assert.equal(transcript, existsSync(path) ? readFileSync(path, 'utf8') : '')
  })
}

function transcriptOf(args: string | readonly string[], { out, err, status }: Played): string {
  const line = typeof args === 'string' ? args : args.map((word) => (/^[\w./=:,-]+$/.test(word) ? word : JSON.stringify(word))).join(' ')
  return `$ tt ${line}\n${out}${err === '' ? '' : `(stderr)\n${err}`}(status ${status})\n`
}

after(() => assert.deepEqual(readdirSync(golden).filter((file) => file.endsWith('.txt') && !played.has(file)), [], 'files that no test plays'))

const bytes = (text: string) => new TextEncoder().encode(text)
const screen = { columns: 80, colour: true }
const problem = (code: Problem['code'], message: string, more: Partial<Problem> = {}): Problem => ({ code, message, ...more })

const demo = envOf('demo')
const broken = envOf('broken', {
  status: {
    phase: 'failed',
    ready: 0,
    problems: [
      { vm: 'broken.0', problem: problem('timeout', 'the guest did not answer within 10 min', { remedy: 'see what it printed: `tt env logs broken -m 0`' }) },
      { vm: 'broken.1', problem: problem('exhausted', 'no host claimed it within 10 min') },
    ],
    more: 3,
    vms: 5,
  },
})
const halted = envOf('halted', { spec: { stopped: true, lifetimeSeconds: null }, status: { ready: 0, expires: undefined } })
const bobs = envOf('bobs', { owner: 'bob', status: { expires: '2026-01-01T00:03:00.000Z' } })
const expired = envOf('over', { spec: { stopped: true, atEnd: 'stop' }, status: { ready: 0, expires: '2025-12-31T23:59:00.000Z' } })
const envs = [bobs, broken, demo, halted]
const vms = [vmOf('demo.0'), vmOf('demo.1', { status: { state: 'booting', host: 'h2', ports: { 22: 40_001, 80: 40_002 } } })]
const images = [imageOf('demo-os', { arch: 'amd64', ways: [], memo: 'two tasks that print A and B', memMb: 16, diskMb: 0, ports: [], buildable: true }), imageOf('micro', { buildable: false }), imageOf('qemu:centos-7.2:default', { memo: undefined, cpu: 2, memMb: 1024, diskMb: 40_960 })]
const evil = '\x1b]0;owned\x07\x1b[2J‮gnp\u009b31m'

shows('help', '')
shows('help-env', 'env')
shows('help-env-run', 'env run --help')
shows('help-words', 'help env add')
shows('version', '--version')
shows('unknown-command', 'evn list')
shows('unknown-word', 'env lst')
shows('unknown-flag', 'env add x --os-prefx=a')
shows('unknown-flag-json', '--json env add x --os-prefx=a')
shows('missing-operand', 'env show')
shows('server-word', 'up')

shows('status', 'status', { variables: { TT_SERVER: 'h9:1' }, config: '{"server":"h8:2","clientId":"ann"}', profiles: { ann: '{"server":"h8:2","token":"secret"}' } })
shows('status-json', 'status --json', { tokens: { '127.0.0.1:9527': 'own' } })
shows('status-server', 'status --server', { host: [hostOf('h1'), hostOf('h2', { online: false, engines: [], unusable: [] })], image: images, missing: [problem('unavailable', 'h3 does not answer', { subject: 'host/h3' })] })
shows('status-server-json', 'status -s --json', { host: [hostOf('h1')], image: images })

shows('env-list', 'env list', { env: [...envs, expired] })
shows('env-listall', 'env listall', { env: envs })
shows('env-list-screen', 'env list', { env: envs, screen })
shows('env-list-quiet', 'env list -q', { env: envs })
shows('env-list-json', '--json env list', { env: [demo, halted], missing: [problem('unavailable', 'h3 does not answer')] })
shows('env-list-empty', 'env list')

shows('env-show', 'env show demo broken none', { env: envs, vm: vms })
shows('env-show-json', 'env show demo none --json', { env: envs, vm: vms })
shows('env-show-narrow', 'env show demo', { env: envs, vm: vms, screen: { columns: 60, colour: false } })
shows('env-show-hostile', 'env show demo', { env: [demo], vm: [vmOf('demo.0', { spec: { image: evil }, status: { problem: problem('failed', evil) } })] })

const task = (name: string, status: Partial<TaskStatus>): Step => ({ kind: 'task', name: `env/${name}`, status })
const comesUp: Stage = { vm: [vmOf('new.0'), vmOf('new.1')], steps: [task('new', { state: 'queued' }), task('new', { state: 'running', done: 1 }), 'break', { kind: 'env', name: 'new', status: { phase: 'ready', ready: 2 } }, task('new', { state: 'done', done: 2 })] }
shows('env-add', 'env add new -s micro -d 1', comesUp)
shows('env-add-screen', 'env add new -s micro -d 1', { ...comesUp, screen })
shows('env-add-json', 'env add new -s micro -d 1 --json', comesUp)
shows('env-add-quiet', 'env add new -s micro -d 1 -q', comesUp)
shows('env-add-no-wait', 'env add new -s micro,demo -d 1 --no-wait', {})
shows('env-add-taken', 'env add demo -s micro', { env: [demo] })
shows('env-add-interrupted', 'env add new -s micro', { interruptMs: 200 })
shows('env-add-deleted', 'env add new -s micro', { steps: [task('new', { state: 'cancelled', problem: problem('cancelled', 'the ENV was deleted', { subject: 'env/new' }) })] })
shows('env-add-late', 'env add new -s micro -t 2', {})
const fails: Stage = { steps: [{ kind: 'env', name: 'new', status: { phase: 'failed', vms: 2, problems: broken.status?.problems } }, task('new', { state: 'failed', problem: broken.status?.problems?.[0]?.problem })] }
shows('env-add-failed', 'env add new -s micro -d 1', fails)
shows('env-add-failed-json', 'env add new -s micro -d 1 --json', fails)

shows('env-del', 'env del demo none bobs', { env: envs, steps: [task('bobs', { state: 'done', done: 2 }), 'break', task('demo', { state: 'done', done: 2 })] })
shows('env-del-json', 'env del demo none --json', { env: envs, steps: [task('demo', { state: 'done', done: 2 })] })
shows('env-stop', 'env stop demo halted', { env: envs, steps: [task('demo', { done: 1 }), task('demo', { state: 'done', done: 2 })] })
shows('env-start-failed', 'env start halted', { env: envs, steps: [task('halted', { state: 'failed', problem: problem('exhausted', 'there is no memory left', { subject: 'vm/halted.0' }) })] })
shows('env-update', 'env update demo halted none -l +2h -p 80 --no-wait', { env: envs })
shows('env-update-none', 'env update demo', {})
shows('env-update-over', 'env update demo -l 60', { env: envs })

const began = (vm: string, image = 'micro'): SessionFrame => ({ type: 'begin', vm, image, address: '192.0.2.1' })
const wrote = (vm: string, type: 'stdout' | 'stderr', text: string): SessionFrame => ({ type, vm, data: bytes(text) })
const ended = (vm: string, code: number): SessionFrame => ({ type: 'exit', vm, code })
const noAgent: SessionFrame = { type: 'problem', vm: 'demo.2', problem: problem('unsupported', 'it has no agent, so no command can be run in it', { remedy: 'see `tt env logs demo -m 2`' }) }
const three: Stage = {
  env: [demo],
  frames: [began('demo.0'), wrote('demo.0', 'stdout', 'a  b\n'), began('demo.1'), wrote('demo.1', 'stdout', 'a  b'), wrote('demo.1', 'stderr', 'err\n'), ended('demo.1', 3), began('demo.2', 'demo-os'), noAgent, wrote('demo.0', 'stderr', 'err\n'), ended('demo.0', 0)],
}
const one: Stage = { env: [envOf('demo', { spec: { groups: [{ ...demo.spec.groups[0]!, count: 1 }] } })], frames: [began('demo.0'), wrote('demo.0', 'stdout', `${evil}a  b`), wrote('demo.0', 'stderr', 'err\n'), ended('demo.0', 3)] }
const command = ['-c', 'echo "a  b"; echo err >&2; exit 3']
shows('env-run', ['env', 'run', 'demo', ...command], three)
shows('env-run-screen', ['env', 'run', 'demo', ...command], { ...three, screen })
shows('env-run-prefix', ['env', 'run', 'demo', '--prefix', ...command], three)
shows('env-run-json', ['env', 'run', 'demo', '--json', ...command], { frames: [...three.frames!, began('demo.10'), { type: 'stdout', vm: 'demo.10', data: Uint8Array.of(255, 0) }, { type: 'exit', vm: 'demo.10', signal: 'SIGKILL' }] })
shows('env-run-one', ['env', 'run', 'demo', ...command], one)
shows('env-run-one-killed', ['env', 'run', 'demo', '-m', '0', ...command], { frames: [began('demo.0'), { type: 'exit', vm: 'demo.0', signal: 'SIGKILL' }] })
shows('env-run-lost', ['env', 'run', 'demo', ...command], { frames: [began('demo.0'), began('demo.1'), wrote('demo.0', 'stdout', 'half'), ended('demo.1', 0)] })
shows('env-run-broken', ['env', 'run', 'demo', '-m0', ...command], { frames: [began('demo.0'), { broken: problem('unavailable', 'the connection to the server broke') }] })
shows('env-run-stopped', ['env', 'run', 'halted', ...command], { opening: problem('not_ready', 'ENV halted is stopped', { subject: 'env/halted', remedy: 'start it first: `tt env start halted`' }) })
shows('env-logs', 'env logs demo', { env: [demo], frames: [began('demo.0'), wrote('demo.0', 'stdout', 'boot\n'), began('demo.1'), wrote('demo.1', 'stdout', 'boot\n'), ended('demo.0', 0), ended('demo.1', 0)] })
shows('env-logs-json', 'env logs demo --json', { frames: [began('demo.1'), { type: 'stdout', vm: 'demo.1', data: Uint8Array.of(255, 0) }, began('demo.0'), wrote('demo.0', 'stdout', 'boot\n'), ended('demo.0', 0), ended('demo.1', 0), began('demo.2'), noAgent] })
shows('env-logs-json-follow', 'env logs demo --json -f', {})
shows('env-logs-follow', 'env logs demo -f', { env: [demo], frames: [began('demo.0'), wrote('demo.0', 'stdout', 'bo'), began('demo.1'), wrote('demo.1', 'stdout', 'A\nB'), wrote('demo.0', 'stdout', 'ot\n'), ended('demo.0', 0), ended('demo.1', 0)] })

const wants = (vm: string, offset: number): SessionFrame => ({ type: 'wants', vm, offset })
const refusedThere = problem('exists', 'there is something else at /tmp/app already', { subject: 'vm/demo.1', remedy: 'say --overwrite to take its place, or send it elsewhere by --to' })
const gone = problem('timeout', 'the guest has got on by nothing for 10 s while /tmp/app was written', { remedy: 'see what it prints' })
const two = envOf('demo')
const pushing: Stage = { env: [two], files: { app: 'x'.repeat(5000) }, frames: [began('demo.0'), began('demo.1'), wants('demo.0', 0), wants('demo.1', 4000), 500, { type: 'progress', vm: 'demo.0', what: '', doneBytes: 2500, totalBytes: 5000 }, 1000, ended('demo.0', 0), 500, ended('demo.1', 0)] }
shows('env-push', 'env push demo -f app', pushing)
shows('env-push-screen', 'env push demo -f app', { ...pushing, screen })
shows('env-push-json', 'env push demo -f app --to /srv/ --json', { ...pushing, frames: [began('demo.0'), began('demo.1'), wants('demo.0', 0), 250, ended('demo.0', 0), { type: 'problem', vm: 'demo.1', problem: gone }] })
shows('env-push-refused', 'env push demo -f app', { ...pushing, frames: [began('demo.0'), began('demo.1'), wants('demo.0', 0), 100, ended('demo.0', 0), { type: 'problem', vm: 'demo.1', problem: refusedThere }] })
shows('env-push-lost', 'env push demo -f app', { ...pushing, frames: [began('demo.0'), began('demo.1'), wants('demo.0', 0), ended('demo.0', 0)] })
shows('env-push-broken', 'env push demo -f app', { ...pushing, frames: [began('demo.0'), began('demo.1'), { broken: problem('unavailable', 'the connection to the server broke') }] })
shows('env-push-interrupted', 'env push demo -f app', { ...pushing, frames: [began('demo.0'), began('demo.1'), 60_000], interruptMs: 200 })
shows('env-push-none', 'env push demo -f none', { env: [two] })
const sent = (vm: string, text: string, sha256: string): SessionFrame[] => [{ type: 'entry', vm, entry: { path: '', type: 'file', mode: 0o644, sizeBytes: text.length }, offset: 0 }, wrote(vm, 'stdout', text), { type: 'entry-end', vm, sha256 }, ended(vm, 0)]
const hello = '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03'
const getting: Stage = { env: [two], frames: [began('demo.0'), began('demo.1'), 700, ...sent('demo.0', 'hello\n', hello), { type: 'problem', vm: 'demo.1', problem: problem('not_found', 'there is no /etc/motd in the guest', { subject: 'vm/demo.1' }) }] }
shows('env-get', 'env get demo -f /etc/motd', getting)
shows('env-get-screen', 'env get demo -f /etc/motd', { ...getting, screen })
shows('env-get-json', 'env get demo -f /etc/motd --to got --json', getting)
shows('env-get-wrong', 'env get demo -m 0 -f /etc/motd', { env: [two], frames: [began('demo.0'), ...sent('demo.0', 'jello\n', hello)] })
shows('env-get-taken', 'env get demo -f /etc/motd', { ...getting, files: { 'demo.1-motd': 'mine' } })
shows('help-env-push', 'env push --help')
shows('help-env-get', 'env get --help')

const taskOf = (id: string, verb: TaskVerb, status: Partial<TaskStatus>): Resource<'task'> => ({
  kind: 'task',
  name: id,
  uid: id,
  revision: '1',
  owner: 'ann',
  created: '2025-12-31T23:59:00.000Z',
  spec: { verb, subject: 'env/demo', limitSeconds: 600 },
  status: { state: 'done', done: 2, total: 2, started: '2025-12-31T23:59:00.500Z', ended: '2025-12-31T23:59:02.000Z', ...status },
})
const tasks = [
  taskOf('6f1d2a3b', 'create', {}),
  taskOf('7a8b9c0d', 'update', { state: 'failed', done: 1, problem: problem('exhausted', 'there is no memory left', { subject: 'vm/demo.1', remedy: 'delete an ENV' }) }),
  taskOf('81726354', 'start', { state: 'running', done: 0, ended: undefined }),
  taskOf('90aabbcc', 'create', { state: 'queued', done: 0, started: undefined, ended: undefined }),
]
shows('task-list', 'task list', { task: tasks })
shows('task-list-json', 'task list demo --state failed --json', { task: tasks })
shows('task-show', 'task show 7a8b9c0d 81726354 nobody', { task: tasks })
shows('task-wait', 'task wait 6f1d2a3b 7a8b9c0d 81726354', { task: tasks, steps: [{ kind: 'task', name: '81726354', status: { done: 1 } }, { kind: 'task', name: '81726354', status: { done: 2 } }, { kind: 'task', name: '81726354', status: { state: 'done', done: 2 } }] })
shows('task-cancel', 'task cancel 6f1d2a3b 90aabbcc', { task: tasks, refusals: {} })
shows('flavor-list', 'flavor list')
shows('settings', 'settings server token clientid', { variables: { TT_SERVER: 'h9:1' } })
const file = 'name: demo\ngroups:\n  - image: micro\n    count: 3\n---\nname: new\ngroups: [{ image: micro, flavor: 2 }]\natEnd: stop\n'
shows('env-apply-screen', 'env apply -f env.yaml --dry-run', { env: envs, image: images, files: { 'env.yaml': file }, screen })
shows('env-apply', 'env apply -f env.yaml --yes', { env: envs, image: images, files: { 'env.yaml': file }, steps: [task('demo', { state: 'done' }), task('new', { state: 'failed', problem: problem('exhausted', 'no host claimed it within 10 min', { subject: 'vm/new.0' }) })] })
shows('env-export', 'env export demo none', { env: envs })
shows('image-list', 'image list', { image: images })
shows('image-list-archs', 'image list', { image: [...images, imageOf('micro-s390x', { arch: 's390x', buildable: false })] })
shows('image-recipes', 'image recipes', { image: images })
shows('image-show', 'image show micro none', { image: images })
shows('image-show-json', 'image show micro --json', { image: images })
shows('image-build-arch', 'image build micro --arch s390x', { frames: [{ type: 'built', host: 'h1', image: 'micro-s390x' }], screen })
shows('image-build-no-arch', 'image build micro --arch vax')
shows('image-build', 'image build micro', { frames: [{ type: 'note', host: 'h1', text: 'unpacking' }, { type: 'built', host: 'h1', image: 'micro' }] })
const importing: SessionFrame[] = [{ type: 'wants', host: 'h1', offset: 4 }, { type: 'progress', host: 'h1', what: 'receiving', doneBytes: 6, totalBytes: 12 }, { type: 'progress', host: 'h1', what: 'converting from vmdk', doneBytes: 1_500_000, totalBytes: 3_000_000 }, { type: 'built', host: 'h1', image: 'box' }]
shows('help-image-import', 'image import --help')
shows('image-import', 'image import box.vmdk --name box', { files: { 'box.vmdk': 'twelve bytes' }, frames: importing, screen })
shows('image-import-json', 'image import box.vmdk --name box --json', { files: { 'box.vmdk': 'twelve bytes' }, frames: importing })
shows('image-import-url', 'image import http://example.org/box.qcow2 --name box --host h1,h2', {
  frames: [{ type: 'note', host: 'h1', text: 'the connection broke off; tried again from byte 1024' }, { type: 'built', host: 'h1', image: 'box' }, { type: 'problem', problem: problem('exhausted', 'it has 2.0 GB, and there is room for 1 MB', { subject: 'host/h2', remedy: 'free space' }) }],
})
const found = (check: string, state: 'good' | 'poor' | 'bad', message: string, more: object = {}): SessionFrame => ({ type: 'finding', host: 'h1', finding: { check, state, message, ...more } })
const leak: SessionFrame = { type: 'leak', host: 'h1', leak: { kind: 'tap', subject: 'tt1abc', why: 'its name has the mark of this server, and no VM has it' } }
const ailing = [found('kvm', 'poor', 'guests are emulated', { remedy: 'turn virtualisation on in the firmware' }), found('space', 'bad', '1 GB of 100 GB free for /var/lib/tt', { remedy: 'delete ENVs' }), found('data', 'good', '7 records, all of them sound')]
const silent: SessionFrame = { type: 'problem', problem: problem('unavailable', 'host h2 does not answer', { subject: 'host/h2' }) }
shows('doctor', 'doctor', { frames: [{ type: 'finding', host: 'cloud', finding: { check: 'ledger', state: 'good', message: 'it is the sum of what all ENVs (2) ask for' } }, ...ailing, leak, silent] })
shows('doctor-screen', 'doctor', { frames: [...ailing, leak], screen })
shows('doctor-well', 'doctor', { frames: [found('data', 'good', '7 records, all of them sound')] })
shows('doctor-fix', 'doctor --fix', { frames: [found('space', 'poor', '14 GB of 100 GB free', { remedy: 'delete ENVs' }), found('network', 'bad', '1 of 2 VMs has lost its place', { remedy: 'x', fixed: true }), { ...leak, fixed: true }] })
shows('doctor-json', 'doctor --json', { frames: [...ailing, { ...leak, fixed: true }] })
shows('doctor-hostile', 'doctor', { frames: [found('images', 'bad', evil, { remedy: evil })] })
shows('doctor-leaks', 'doctor --leaks', { frames: [...ailing, leak] })
shows('doctor-leaks-json', 'doctor --leaks --json', { frames: [...ailing, leak] })
shows('doctor-leaks-none', 'doctor --leaks', { frames: ailing })
shows('doctor-denied', 'doctor', { opening: problem('denied', 'only an admin may ask for doctor', { subject: 'doctor' }) })

const event = (subject: string, name: string, message: string): SessionFrame => ({ type: 'event', event: { time: '2026-01-01T00:00:00.000Z', subject, owner: 'ann', event: name, message } })
const happened = [event('env/demo', 'created', '2 VMs of micro'), event('vm/demo.1', 'failed', 'no room'), { type: 'note', text: '7 events were forgotten before they were read' } satisfies SessionFrame]
shows('events', 'events', { frames: happened })
shows('events-screen', 'events demo', { frames: happened, screen })
shows('events-json', 'events --json', { frames: happened })
shows('events-follow-json', 'events -f demo --json', { frames: [...happened, 1000, event('env/demo', 'removed', evil)] })
shows('events-none', 'events')
shows('reload', 'reload', { frames: [{ type: 'reloaded', host: 'h1', changed: ['logLevel'], needRestart: ['servPort'] }, { type: 'reloaded', host: 'h2', changed: [], needRestart: [] }] })
shows('reload-json', 'reload --json', { frames: [{ type: 'reloaded', host: 'h1', changed: ['logLevel'], needRestart: [] }] })
shows('reload-denied', 'reload', { opening: problem('denied', 'only an admin may ask for reload', { subject: 'reload' }) })
shows('selftest-none', 'selftest')
shows('selftest-unknown', 'selftest --only execs')
