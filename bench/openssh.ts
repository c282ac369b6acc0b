import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cloud } from '../src/model/cloud.ts'
import type { SessionInput } from '../src/model/session.ts'
import { runIn } from './env.ts'

/** Where it listens: beside the image's own ssh server, which has 22. */
export const opensshPort = 2222
const program = '/usr/sbin/sshd'

/** Puts this machine's OpenSSH server into every guest of an ENV and starts it: guests of the image micro are of the same distribution. It takes the keys that the image's own server takes. */
export async function startOpenssh(cloud: Cloud, env: string): Promise<void> {
  if (!existsSync(program)) throw new Error('there is no OpenSSH server on this machine to put into the guest: apt-get install openssh-server')
  const libraries = [...execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/lib\S+) \(/g)].map(([, path = '']) => path)
  const archive = spawnSync('tar', ['-ch', '-C', '/', '--', ...[program, ...libraries].map((path) => path.slice(1))], { maxBuffer: 1 << 28 })
  if (archive.status !== 0) throw new Error(`tar: ${archive.stderr.toString()}`)
  await unpack(cloud, env, archive.stdout)
  const config = [`Port ${opensshPort}`, 'HostKey /etc/openssh-key', 'UsePAM no', 'PermitRootLogin prohibit-password', 'AuthorizedKeysFile /root/.ssh/authorized_keys', 'StrictModes no', 'PidFile none', 'Subsystem sftp internal-sftp']
  const start = [
    'set -e',
    'mkdir -p /run/sshd && chmod 755 /run/sshd',
    'grep -q ^sshd: /etc/passwd || echo sshd:x:100:65534::/run/sshd:/bin/false >>/etc/passwd',
    `printf '%s\\n' ${config.map((line) => `'${line}'`).join(' ')} >/etc/openssh-config`,
    `umask 077; echo '${hostKey()}' >/etc/openssh-key`,
    // As a child of process 1 that leads a session it would take itself for a daemon already, and stay: so the shell waits for it.
    `${program} -f /etc/openssh-config </dev/null >/dev/null 2>&1`,
    'true',
  ]
  await runIn(cloud, env, { shell: start.join('\n') })
}

function hostKey(): string {
  const dir = mkdtempSync(join(tmpdir(), 'tt-bench-key-'))
  try {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'key')])
    return readFileSync(join(dir, 'key'), 'utf8').trim()
  } finally {
    rmSync(dir, { recursive: true })
  }
}

async function unpack(cloud: Cloud, env: string, archive: Uint8Array): Promise<void> {
  await using session = await cloud.open({ type: 'exec', vms: { envs: [env] }, command: { argv: ['tar', 'x', '-C', '/'] }, stdin: true })
  const sent = ReadableStream.from(inputs(archive)).pipeTo(session.input)
  for await (const frame of session.output) {
    if (frame.type === 'problem') throw new Error(frame.problem.message)
    if (frame.type === 'exit' && frame.code !== 0) throw new Error(`tar in ${frame.vm} said ${frame.code}`)
  }
  await sent
}

function* inputs(archive: Uint8Array): Generator<SessionInput> {
  yield { type: 'stdin', data: archive }
  yield { type: 'eof' }
}
