import { endpointText } from '../../base/endpoint.ts'
import { errorOf } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { megabytes } from '../../model/units.ts'
import type { Action, Invocation } from '../invocation.ts'
import { hostShape } from '../shapes.ts'
import { type Column, facts, table } from '../table.ts'
import { visible } from '../text.ts'

/** `tt status`: what the client would use, without asking anybody; with --server, what the hosts say. */
export const status: Action = {
  operands: [],
  flags: [
    { long: 'client', short: 'c', about: 'The settings of this client and where each comes from; asks nobody', default: 'this' },
    { long: 'server', short: 's', value: 'HOST:PORT', optional: true, about: 'The hosts: VMs, cpu, memory and disk used and in all, engines, images' },
  ],
  examples: [
    { line: 'tt status', about: 'which server would be asked, and why that one' },
    { line: 'tt status --server', about: 'what runs where' },
    { line: 'tt status --server=10.0.0.5:9527 --json', about: 'the same of another server, for a program' },
  ],
  run: (invocation) => (invocation.given.has('server') ? showHosts(invocation) : showClient(invocation)),
}

async function showClient(invocation: Invocation): Promise<void> {
  const { rows } = await invocation.settings()
  if (invocation.json) {
    const settings = Object.fromEntries(rows.map(({ key, value, origin }) => [key, { value: value === '' ? null : value, from: origin }]))
    return invocation.printJson({ settings })
  }
  const columns: Column<(typeof rows)[number]>[] = [
    { title: 'SETTING', text: ({ key }) => key },
    { title: 'VALUE', cut: true, text: ({ value }) => value },
    { title: 'FROM', cut: true, text: ({ origin }) => origin },
  ]
  await invocation.print(table(rows, columns, invocation.terminal.out.screen()))
}

async function showHosts(invocation: Invocation): Promise<void> {
  const { json, call, terminal } = invocation
  const [cloud, { server }] = await Promise.all([invocation.cloud(), invocation.settings()])
  const [about, hosts, images] = await Promise.all([cloud.about(call), cloud.collection('host').list({}, call), cloud.collection('image').list({}, call)])
  const imagesOf = (host: string) => images.items.filter(({ status: at }) => at?.hosts.includes(host)).map(({ name }) => name).sort()
  const address = endpointText(server)
  if (json) await invocation.printJson({ server: { address, ...about }, hosts: hosts.items.map((host) => hostShape(host, imagesOf(host.name))), missing: hosts.missing })
  else {
    const who = `${address}: ${about.cloud} ${about.version}, asked as ${about.user}${about.role === 'admin' && about.user !== 'admin' ? ' (admin)' : ''}`
    const details = hosts.items.map((host) => hostDetails(host, imagesOf(host.name)))
    await invocation.print([visible(who), table(hosts.items, hostColumns, terminal.out.screen()), ...details].join('\n\n'))
  }
  for (const problem of hosts.missing) await invocation.report(errorOf(problem))
}

type Host = Resource<'host'>

const hostColumns: Column<Host>[] = [
  { title: 'HOST', cut: true, text: ({ name }) => name },
  { title: 'STATE', text: ({ status: at }) => (at?.online ? 'online' : 'offline'), colour: ({ status: at }) => (at?.online ? 'green' : 'red') },
  { title: 'VMS', align: 'right', text: ({ status: at }) => String(at?.used.vms ?? '') },
  { title: 'CPU', align: 'right', text: ({ status: at }) => ofTotal(at, 'cpu', String) },
  { title: 'MEMORY', align: 'right', text: ({ status: at }) => ofTotal(at, 'memMb', megabytes) },
  { title: 'DISK', align: 'right', text: ({ status: at }) => ofTotal(at, 'diskMb', megabytes) },
  { title: 'ADDRESS', text: ({ status: at }) => at?.address ?? '' },
]

const ofTotal = (at: Host['status'], field: 'cpu' | 'memMb' | 'diskMb', text: (value: number) => string) => (at ? `${text(at.used[field])} / ${text(at.total[field])}` : '')

function hostDetails({ name, status: at }: Host, images: readonly string[]): string {
  const engines = (at?.engines ?? []).map((engine) => `${engine.name} ${engine.version}${featuresText(engine.features)}`)
  const pairs: [string, string][] = [
    ['version', at?.version ?? ''],
    ['engines', engines.join(', ') || 'none'],
    ['drivers', `network ${at?.network ?? '-'}${networkText(at?.networkFeatures)}, volume ${at?.volume ?? '-'}`],
    ...(at?.unusable ?? []).map((one): [string, string] => ['unusable', `${one.kind} ${one.name}: ${one.why}`]),
    ['images', images.join(', ') || 'none'],
  ]
  return `${visible(name)}\n${facts(pairs).replaceAll(/^/gm, '  ')}`
}

/** What a network can do: `(addresses, udp)`. */
function networkText(features: Record<string, boolean> = {}): string {
  const can = Object.keys(features).filter((name) => features[name])
  return can.length === 0 ? '' : ` (${can.join(', ')})`
}

/** The features that say more than yes: `(accel tcg)`. */
function featuresText(features: Record<string, boolean | string>): string {
  const words = Object.entries(features).flatMap(([name, value]) => (typeof value === 'string' ? [`${name} ${value}`] : []))
  return words.length === 0 ? '' : ` (${words.join(', ')})`
}
