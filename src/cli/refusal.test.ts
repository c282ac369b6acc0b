import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Problem } from '../model/errors.ts'
import { rehearse } from './rehearsal.ts'

/** As the server says them, to those who speak HTTP themselves. */
const nobody: Problem = { code: 'unauthenticated', message: 'no token was given', remedy: 'send the header "authorization: Bearer TOKEN"' }
const bare: Problem = { code: 'invalid', message: 'this server speaks TLS only', remedy: 'use https://' }
const here = { token: "give a token: `tt config --token-file FILE`, or TT_TOKEN; TT_DATA_DIR names a server's own data directory", tls: '`tt config --tls` shows its fingerprint; `--trust` or `--fingerprint` keeps it, and https:// before the address asks by TLS' }

test('what can be done about a refusal is said in the words of the command line, in JSON too', async () => {
  for (const [problem, remedy] of [[nobody, here.token], [bare, here.tls]] as const) {
    const listed = (line: string) => rehearse(line, { refusals: { 'env.list': [problem] } })
    assert.equal((await listed('env list')).err, `tt: ${problem.message} (${problem.code})\n  ${remedy}\n`)
    assert.deepEqual(JSON.parse((await listed('env list --json')).err), { error: { ...problem, remedy } })
  }
})

test('so it is in the results of a command that goes on with others', async () => {
  const { out } = await rehearse('env del demo --json', { refusals: { 'env.remove demo': [nobody] } })
  assert.deepEqual((JSON.parse(out) as { results: { error: Problem }[] }).results[0]?.error.remedy, here.token)
})

test('another remedy stays as the server says it', async () => {
  const { err } = await rehearse('env list', { refusals: { 'env.list': [{ ...nobody, remedy: 'ask an admin' }] } })
  assert.match(err, /\n {2}ask an admin\n/)
})
