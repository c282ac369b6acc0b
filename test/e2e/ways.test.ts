import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { inNamespace, type ServerGround, serverGround, type ShownEnv } from './ground.ts'

interface GuestShown {
  state: string
  way?: string
}

/** Runs the client, which must succeed. */
async function tt(server: ServerGround, ...args: string[]): Promise<string> {
  const said = await server.tt(...args)
  assert.equal(said.code, 0, `${args.join(' ')}: ${said.stdout}${said.stderr}`)
  return said.stdout
}

const vmsOf = async (server: ServerGround, env: string) => ((await server.json('env', 'show', env)) as ShownEnv & { envs: { vms: { guest: GuestShown | null }[] }[] }).envs[0]?.vms ?? []

/** Enters as a person does: with a key of his own and nobody's files, and again while nothing listens yet: the server of ssh comes up a moment after the agent. */
async function enter(key: string, host: string, command: string): Promise<Entered> {
  for (let tries = 1; ; tries++) {
    const entered = await entering(key, host, command)
    if (tries === 100 || !entered.stderr.includes('Connection refused')) return entered
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

interface Entered {
  code: number
  stdout: string
  stderr: string
}

const entering = (key: string, host: string, command: string) =>
  new Promise<Entered>((resolve) => {
    const options = ['IdentitiesOnly=yes', 'IdentityAgent=none', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes', 'ConnectTimeout=20']
    execFile('ssh', ['-F', 'none', '-i', key, ...options.flatMap((one) => ['-o', one]), `root@${host}`, command], { timeout: 60_000 }, (fault, stdout, stderr) => resolve({ code: fault ? Number(fault.code ?? 255) : 0, stdout, stderr }))
  })

await inNamespace(import.meta.url, () => {
  test('[J05 A05 F02 F17] a guest of micro lets in its user and its host by their keys, over its own server of ssh, and nobody else', { timeout: 400_000 }, async () => {
    await using server = serverGround()
    const keys = Object.fromEntries(['ann', 'bob', 'eve'].map((name) => [name, join(server.dir, name)])) as Record<'ann' | 'bob' | 'eve', string>
    for (const [name, path] of Object.entries(keys)) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', path])
    await server.start()
    await tt(server, 'env', 'add', 'box', '-s', 'micro', '--ssh-key', `${keys.ann}.pub`)
    const [vm] = await vmsOf(server, 'box')
    const host = vm?.ip ?? assert.fail('the VM has no address')
    assert.equal(vm?.guest?.state, 'ready')

    // Ready means that the keys are in place.
    assert.deepEqual(await enter(keys.ann, host, 'hostname'), { code: 0, stdout: 'box-0\n', stderr: '' })
    assert.notEqual((await enter(keys.eve, host, 'true')).code, 0)

    // The same by tt, with the key of the ENV on its host.
    assert.match(await tt(server, 'env', 'run', 'box', '--use-ssh', '--cmd', `echo "it's $(hostname) \\"ü\\""; echo err >&2`), /it's box-0 "ü"/)
    assert.equal((await server.tt('env', 'run', 'box', '--use-ssh', '--cmd', 'exit 7')).code, (await server.tt('env', 'run', 'box', '--cmd', 'exit 7')).code)
    const slow = await server.tt('env', 'run', 'box', '--use-ssh', '--cmd', 'sleep 60', '--time-out', '2')
    assert.match(slow.stdout + slow.stderr, /did not end within 2 s/)
    assert.doesNotMatch(await tt(server, 'env', 'run', 'box', '--cmd', 'ps'), /sleep 60/)
    const data = join(server.dir, 'data')
    const [key] = readdirSync(join(data, 'guest-keys'))
    assert.equal(statSync(join(data, 'guest-keys', key ?? '')).mode & 0o777, 0o600)
    const known = readFileSync(join(data, 'guests', `${key}.0`, 'known_hosts'), 'utf8')

    // Keys change while it runs; what others have put there stays.
    await tt(server, 'env', 'run', 'box', '--cmd', `echo "$KEY" >>/root/.ssh/authorized_keys`, '--env', `KEY=${readFileSync(`${keys.eve}.pub`, 'utf8').trim()}`)
    await tt(server, 'env', 'update', 'box', '--ssh-key', `${keys.bob}.pub`)
    assert.notEqual((await enter(keys.ann, host, 'true')).code, 0)
    assert.equal((await enter(keys.bob, host, 'true')).code, 0)
    assert.equal((await enter(keys.eve, host, 'true')).code, 0)
    await tt(server, 'env', 'run', 'box', '--use-ssh', '--cmd', 'true')

    // A restart of the server and of the guest: the same keys on both sides, and a name that was changed stays.
    await tt(server, 'env', 'run', 'box', '--cmd', 'hostname renamed')
    await server.stop()
    await server.start()
    assert.match(await tt(server, 'env', 'run', 'box', '--use-ssh', '--cmd', 'hostname'), /renamed/)
    await tt(server, 'env', 'stop', 'box')
    await tt(server, 'env', 'start', 'box')
    assert.equal((await enter(keys.bob, host, 'true')).code, 0)
    await tt(server, 'env', 'run', 'box', '--use-ssh', '--cmd', 'true')
    assert.equal(readFileSync(join(data, 'guests', `${key}.0`, 'known_hosts'), 'utf8'), known)

    await tt(server, 'env', 'del', 'box')
    assert.deepEqual([readdirSync(join(data, 'guest-keys')), existsSync(join(data, 'guests', `${key}.0`))], [[], false])
  })
})
