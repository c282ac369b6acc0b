import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cloud } from '../src/model/cloud.ts'
import type { Ground } from './bench.ts'
import { wholeProcess } from './command.ts'
import { runIn } from './env.ts'

/** The way into a guest that people know: OpenSSH's client, to the dropbear of the image or to another server in it. */
export interface Ssh extends Disposable {
  /** Arguments that log in, run `true` and leave. */
  whole: string[]
  /** The same over a connection that is kept (ControlMaster). */
  kept: string[]
  /** Copies a file to the guest, or from it: `scp`, with a login of its own. */
  push(file: string, path: string): string[]
  get(path: string, file: string): string[]
  env: NodeJS.ProcessEnv
}

/** Gives the guest a key and waits until its ssh server takes it. */
export async function sshInto(ground: Ground, { cloud, env, ip, port = 22 }: { cloud: Cloud; env: string; ip: string; port?: number }): Promise<Ssh> {
  const dir = mkdtempSync(join(ground.dir, 'ssh-'))
  const key = join(dir, 'key')
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  const text = readFileSync(`${key}.pub`, 'utf8').trim()
  await runIn(cloud, env, { shell: `mkdir -p /root/.ssh && chmod 700 /root/.ssh && echo '${text}' >> /root/.ssh/authorized_keys && chmod 600 /root/.ssh/authorized_keys` })
  const options = ['-F', 'none', '-i', key, '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no', '-o', `UserKnownHostsFile=${join(dir, 'known')}`, '-o', 'LogLevel=ERROR', '-o', `Port=${port}`]
  const control = ['-o', `ControlPath=${join(dir, 'control')}`]
  const master = [...options, ...control, '-o', 'ControlMaster=yes', '-o', 'ControlPersist=yes', '-f', '-N', `root@${ip}`]
  const whole = ['ssh', ...options, `root@${ip}`, 'true']
  const plain = { PATH: process.env['PATH'], HOME: dir }
  for (let tries = 1; ; tries++) {
    try {
      await wholeProcess(whole, plain)
      break
    } catch (fault) {
      if (tries === 100) throw fault
      await sleep(100, undefined, { signal: ground.signal })
    }
  }
  execFileSync('ssh', master, { env: plain, stdio: 'ignore' })
  return {
    whole,
    kept: ['ssh', ...options, ...control, `root@${ip}`, 'true'],
    push: (file, path) => ['scp', '-q', ...options, file, `root@${ip}:${path}`],
    get: (path, file) => ['scp', '-q', ...options, `root@${ip}:${path}`, file],
    env: plain,
    [Symbol.dispose]: () => void spawnSync('ssh', [...options, ...control, '-O', 'exit', `root@${ip}`], { env: plain, stdio: 'ignore' }),
  }
}
