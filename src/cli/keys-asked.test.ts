import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { rehearse, type Stage } from './rehearsal.ts'
import { envOf, vmOf } from './specimens.ts'

const ann = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIANN ann@laptop'
const bob = 'ecdsa-sha2-nistp256 AAAAE2VjZHNhBOB= '.trim()
const files = {
  'ann.pub': `# mine\n\n${ann}\n`,
  both: `${ann}\r\n${bob}\r\n`,
  ann: '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNza\n-----END OPENSSH PRIVATE KEY-----\n',
  putty: 'PuTTY-User-Key-File-3: ssh-ed25519\n',
  options: `command="ls" ${ann}\n`,
  empty: '\n# nothing\n',
  'cloud.yaml': '#cloud-config\npackages: [nginx]\n',
  large: 'x'.repeat(70_000),
}
const asked = async (words: string, stage: Stage = {}) => {
  const played = await rehearse(words, { files, ...stage })
  return { ...played, spec: (played.cloud.puts[0]?.options as { spec?: { sshKeys?: string[]; userData?: string } } | undefined)?.spec }
}

describe('env add: who may enter', () => {
  it('J05: takes keys of files and of users of GitHub, each once', async () => {
    const web = { 'https://github.com/bob.keys': `${bob}\n${ann}\n` }
    const { spec, status } = await asked('env add demo -s micro --no-wait --ssh-key ann.pub --ssh-key both --ssh-key github:bob --user-data cloud.yaml', { web })
    assert.deepEqual([status, spec?.sshKeys, spec?.userData], [0, [ann, bob], files['cloud.yaml']])
  })
  it('asks for keys where the environment says that they are', async () => {
    const { spec } = await asked('env add demo -s micro --no-wait --ssh-key github:bob', { web: { 'https://keys.test/bob.keys': bob }, variables: { TT_GITHUB_URL: 'https://keys.test' } })
    assert.deepEqual(spec?.sshKeys, [bob])
  })
  it('says nothing of keys that nobody named', async () => {
    const { spec } = await asked('env add demo -s micro --no-wait')
    assert.ok(spec && !('sshKeys' in spec) && !('userData' in spec))
  })
  const refusals: [words: string, status: number, says: RegExp][] = [
    ['--ssh-key ann', 2, /ann holds a private key, which is for nobody but you[^]*--ssh-key ann\.pub/],
    ['--ssh-key putty', 2, /private key/],
    ['--ssh-key -', 2, /names a file with a public key/],
    ['--ssh-key nowhere', 2, /"nowhere" cannot be read/],
    ['--ssh-key options', 2, /options, line 1, is no public key/],
    ['--ssh-key empty', 2, /holds no key/],
    ['--ssh-key github:no/body', 2, /no name of a user/],
    ['--ssh-key github:nobody', 6, /GitHub knows no user nobody/],
    ['--user-data large', 9, /more than 64 KB/],
  ]
  for (const [words, status, says] of refusals) {
    it(`refuses ${words}`, async () => {
      const played = await asked(`env add demo -s micro ${words}`)
      assert.match(played.err, says)
      assert.equal(played.cloud.puts.length, 0)
      assert.equal(played.status, status)
      assert.doesNotMatch(played.err, /b3BlbnNza/)
    })
  }
})

describe('env update: who may enter', () => {
  const env = [envOf('demo', { spec: { sshKeys: [ann] } })]
  it('J05: puts keys in place of those there are, and takes all away', async () => {
    assert.deepEqual((await asked('env update demo --no-wait --ssh-key both', { env })).spec?.sshKeys, [ann, bob])
    assert.deepEqual((await asked('env update demo --no-wait --no-ssh-key', { env })).spec?.sshKeys, [])
    const both = await asked('env update demo --no-wait --no-ssh-key --at-end stop', { env })
    assert.deepEqual([both.spec?.sshKeys, (both.spec as { atEnd?: string }).atEnd], [[], 'stop'])
  })
  it('names a key by its end and its name where it shows a difference', async () => {
    const { out } = await rehearse('env apply -f e.yaml --dry-run', { env, files: { 'e.yaml': `name: demo\nsshKeys: ["${bob}"]\n` } })
    assert.match(out, /ssh key ssh-ed25519 …NTE5AAAAIANN ann@laptop/)
    assert.doesNotMatch(out, /AAAAC3NzaC1lZDI1NTE5AAAAIANN/)
  })
})

describe('env show: how guests are', () => {
  it('F17: says of each guest whether it boots, answers, is silent or cannot answer, and by which way', async () => {
    const vm = [
      vmOf('demo.0', { status: { guest: { state: 'ready', way: 'rexec', load: 0.124, memUsedMb: 61 } } }),
      vmOf('demo.1', { status: { guest: { state: 'lost', way: 'ssh' } } }),
      vmOf('demo.2', { status: { state: 'booting', guest: { state: 'booting' } } }),
      vmOf('demo.3', { status: { guest: { state: 'none' } } }),
    ]
    const { out } = await rehearse('env show demo', { env: [envOf('demo', { spec: { sshKeys: [ann] }, status: { vms: 4, ready: 3, lost: 1 } })], vm })
    assert.match(out, /1 ssh key may enter.*1 guest silent/)
    const rows = out.split('\n').filter((line) => line.startsWith('demo.'))
    assert.deepEqual(rows.map((row) => row.split(/ {2,}/).at(-1)), ['ready rexec 0.12 61 MB', 'lost ssh', 'booting', 'no agent'])
  })
  it('F17: a list marks an ENV with silent guests', async () => {
    const { out } = await rehearse('env list', { env: [envOf('demo', { status: { ready: 2, lost: 1 } })] })
    assert.match(out, /2 \(1 lost\)/)
  })
})
