import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { meterText } from '../src/base/meters.ts'
import { type ServerGround, serverGround } from './e2e/ground.ts'

interface Metric {
  type: string
  help: string
  samples: Map<string, number>
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const labelPair = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/
const numberShape = /^(NaN|[+-]Inf|[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$/

/** Reads the text format of Prometheus, version 0.0.4, and refuses everything that is not quite it. */
function parsed(text: string): Map<string, Metric> {
  assert.ok(text.endsWith('\n'), 'the last line has an end')
  const metrics = new Map<string, Metric>()
  let name = ''
  let help: string | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    const about = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line)
    if (about?.[1] === 'HELP') {
      assert.ok(!metrics.has(about[2] ?? ''), `${about[2]} comes twice`)
      name = about[2] ?? ''
      help = about[3] ?? ''
      assert.match(name, metricName)
      assert.match(help, /^(?:[^\\]|\\[\\n])*$/)
    } else if (about?.[1] === 'TYPE') {
      assert.equal(about[2], name, 'HELP and TYPE stand together')
      assert.match(about[3] ?? '', /^(counter|gauge)$/)
      metrics.set(name, { type: about[3] ?? '', help: help ?? assert.fail(`${name} has no help`), samples: new Map() })
      help = undefined
    } else sample(line, metrics.get(name) ?? assert.fail(`${line} is of nothing`), name)
  }
  return metrics
}

function sample(line: string, metric: Metric, name: string): void {
  assert.ok(line.startsWith(name), `${line} stands under ${name}`)
  let rest = line.slice(name.length)
  const labels: string[] = []
  if (rest.startsWith('{')) {
    for (rest = rest.slice(1); !rest.startsWith('}'); ) {
      const [whole, label = '', value = ''] = labelPair.exec(rest.replace(/\}.*$/, '')) ?? assert.fail(`${line}: a label is wrong`)
      labels.push(`${label}=${value}`)
      rest = rest.slice(whole.length)
    }
    rest = rest.slice(1)
  }
  const value = / (\S+)$/.exec(rest)?.[1] ?? assert.fail(`${line} has no value`)
  assert.equal(rest, ` ${value}`)
  assert.match(value, numberShape)
  const key = labels.join(',')
  assert.ok(!metric.samples.has(key), `${line} comes twice`)
  metric.samples.set(key, Number(value.replace('Inf', 'Infinity')))
}

async function scraped(server: ServerGround) {
  const authorization = `Bearer ${readFileSync(join(server.dir, 'data/token'), 'utf8').trim()}`
  const answer = await fetch(`http://127.0.0.1:${server.port}/metrics`, { headers: { authorization } })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4')
  const metrics = parsed(await answer.text())
  return { metrics, value: (name: string, labels = '') => metrics.get(name)?.samples.get(labels) ?? assert.fail(`there is no ${name}{${labels}}`) }
}

test('the parser of this test refuses what Prometheus would', () => {
  const head = '# HELP a b\n# TYPE a gauge\n'
  assert.equal(parsed(`${head}a{x="1\\"\\\\\\n"} 2.5e3\n`).get('a')?.samples.get('x=1\\"\\\\\\n'), 2500)
  for (const wrong of ['a 1', `${head}a 1`, 'a 1\n', `${head}b 1\n`, `${head}a one\n`, `${head}a  1\n`, `${head}a{x=1} 1\n`, `${head}a{x="1"y="2"} 1\n`, `${head}a 1\na 2\n`, `${head}a 1\n${head}a 1\n`, '# HELP a b\n# TYPE b gauge\n', '# TYPE a gauge\na 1\n', `${head}a{x="\\t"} 1\n`, `${head}\na 1\n`]) {
    assert.throws(() => parsed(wrong), Error, JSON.stringify(wrong))
  }
})

test('names, labels and numbers are written as the format wants them', () => {
  const text = meterText([{ name: 'x_total', type: 'counter', help: 'a \\ and\na line', samples: [{ value: 1e21 }, { labels: { of: 'say "hi"\n\\' }, value: Infinity }, { labels: { of: 'none' }, value: NaN }] }])
  assert.equal(text, '# HELP x_total a \\\\ and\\na line\n# TYPE x_total counter\nx_total 1e+21\nx_total{of="say \\"hi\\"\\n\\\\"} +Inf\nx_total{of="none"} NaN\n')
  parsed(text)
})

test('L08: /metrics tells what an operator watches, as Prometheus reads it', { timeout: 60_000 }, async () => {
  await using server = serverGround(['--engine', 'fake', '--cpu-total', '64', '--cpu-overcommit', '1', '--mem-total', '8192', '--disk-total', '1000000', '--vms-max', '50', '--port-range', '41000-41099'])
  await server.start()
  const before = await scraped(server)
  assert.equal((await server.tt('env', 'add', 'two', '-s', 'micro', '-d', '1', '-p', '80,443')).code, 0)
  assert.equal((await server.tt('env', 'add', 'rest', '-s', 'micro')).code, 0)
  assert.equal((await server.tt('env', 'stop', 'rest')).code, 0)
  assert.equal((await server.tt('env', 'show', 'none')).code, 6)
  const { metrics, value } = await scraped(server)

  for (const [name, { type }] of metrics) {
    assert.equal(name.endsWith('_total'), type === 'counter', `${name} is a ${type}`)
    assert.match(name, /^(tt|process)_[a-z_]+$/)
  }
  const version = (JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { version: string }).version
  assert.equal(value('tt_build_info', `version=${version},node=${process.version}`), 1)
  assert.ok(Math.abs(value('process_start_time_seconds') + value('tt_uptime_seconds') - Date.now() / 1000) < 5)
  assert.deepEqual([value('tt_hosts'), value('tt_hosts_online')], [1, 1])
  assert.deepEqual([value('tt_envs', 'phase=ready'), value('tt_envs', 'phase=creating'), value('tt_envs', 'phase=failed')], [2, 0, 0])
  assert.deepEqual([value('tt_vms', 'state=ready'), value('tt_vms', 'state=stopped'), value('tt_vms', 'state=pending'), value('tt_vms', 'state=lost')], [2, 1, 0, 0])
  assert.deepEqual([value('tt_cpus_used'), value('tt_cpus_offered')], [2, 64])
  assert.deepEqual([value('tt_memory_used_bytes'), value('tt_memory_offered_bytes')], [256 * 2 ** 20, 8192 * 2 ** 20])
  assert.deepEqual([value('tt_disk_used_bytes'), value('tt_disk_offered_bytes')], [3 * 1024 * 2 ** 20, 1_000_000 * 2 ** 20])
  assert.deepEqual([value('tt_vm_places_used'), value('tt_vm_places_offered')], [3, 50])
  assert.deepEqual([value('tt_public_ports_used'), value('tt_public_ports_offered')], [4, 100])
  assert.ok(value('tt_event_loop_lag_worst_seconds') >= 0)
  assert.ok(value('tt_store_commits_total', 'result=done') > before.value('tt_store_commits_total', 'result=done') + 5)
  assert.equal(value('tt_store_commits_total', 'result=failed'), 0)
  assert.ok(value('tt_store_commit_seconds_total') > 0)
  assert.ok(value('tt_loop_turns_total', 'loop=vms') >= 3)
  assert.equal(value('tt_loop_faults_total', 'loop=vms'), 0)
  assert.ok(value('tt_effects_total') > before.value('tt_effects_total'))
  assert.ok(value('tt_log_lines_total', 'level=info') > 0)
  assert.equal(value('tt_log_lines_total', 'level=error'), 0)
  const answers = [...(metrics.get('tt_http_requests_total')?.samples ?? [])]
  assert.ok(answers.every(([labels]) => /^route=[A-Za-z.-]+,status=\d{3}$/.test(labels)), JSON.stringify(answers))
  assert.ok(answers.some(([labels, count]) => labels.endsWith('status=404') && count === 1), JSON.stringify(answers))
})
