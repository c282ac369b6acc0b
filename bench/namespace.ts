import { execFileSync, spawn } from 'node:child_process'

const inside = 'BENCH_NAMESPACE'

/** Runs `work` in a network namespace of its own: outside of one, this program is started again in a new one, which goes with it. */
export async function inNamespace(work: () => Promise<number>): Promise<number> {
  if (process.env[inside] === '1') {
    execFileSync('ip', ['link', 'set', 'lo', 'up'])
    return work()
  }
  const child = spawn('unshare', ['--net', process.execPath, ...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit', env: { ...process.env, [inside]: '1' } })
  // A terminal's Ctrl-C reaches both; the one inside cleans up and ends.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => signal === 'SIGTERM' && child.kill(signal))
  return new Promise((resolve, reject) => {
    child.once('error', (fault) => reject(new Error(`no network namespace can be made here (unshare --net): ${fault.message}`)))
    child.once('exit', (code) => resolve(code ?? 1))
  })
}
