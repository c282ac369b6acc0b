/**
 * Who may import whom: the room table of docs/architecture.md as rules, for every import there is, type-only ones included.
 * What a file loads by way of others is judged by .dependency-cruiser-reach.mjs. test/house/rules.test.ts sees every rule of both fire.
 */

const kinds = ['engine', 'volume', 'network', 'channel', 'blob']
const runtimePackages = ['valibot', '@valibot/to-json-schema', 'ws', 'ssh2']

/** Files that run only under the test runner: a test beside its source, a suite for implementers of a contract, and the ground that these stand on. */
const test = '\\.test\\.ts$'
const suite = '\\.contract\\.ts$'
const ground = '[/-]ground\\.ts$'
const proof = [test, suite, ground]

/** What others may see of a room that they only know by contract. */
const contracts = {
  store: ['^src/store/(store|view|follow)\\.ts$'],
  drivers: kinds.map((kind) => `^src/drivers/${kind}/${kind}\\.ts$`),
}
/** Implementations shipped so that a neighbour can be tried out alone; for tests. */
const standIns = ['^src/store/memory\\.ts$', '^src/drivers/[^/]+/fake[^/]*(\\.ts$|/)']

/** Every builtin of Node: for rooms that work on the machine. */
const every = 'every'
/** The table: what a room may import besides itself. `contract` names rooms of which it sees the contract only. */
const rooms = {
  base: { rooms: [], contract: [], packages: [], node: every },
  model: { rooms: [], contract: [], packages: ['valibot'], node: [] },
  store: { rooms: ['base', 'model'], contract: [], packages: [], node: ['sqlite', 'worker_threads'] },
  drivers: { rooms: ['base', 'model'], contract: [], packages: ['valibot', 'ssh2'], node: every },
  host: { rooms: ['base', 'model'], contract: ['store', 'drivers'], packages: [], node: every },
  cloud: { rooms: ['base', 'model'], contract: ['store'], packages: [], node: ['crypto'] },
  api: {
    rooms: ['base', 'model'],
    contract: [],
    packages: ['valibot', 'ws', '@valibot/to-json-schema'],
    node: ['http', 'https', 'net', 'tls', 'stream', 'stream/web', 'zlib', 'crypto'],
  },
  cli: { rooms: ['base', 'model'], contract: [], packages: ['yaml'], node: [] },
  web: { rooms: ['model', 'api'], contract: [], packages: [], node: [] },
}

const core = ['core']
const typeOnly = ['type-only', 'type-import']
const anyOf = (names) => `(${names.join('|')})`
const inNode = (names) => `^(node:)?${anyOf(names)}$`
const inNpm = (names) => `node_modules/(@types/)?${anyOf(names)}/`
const except = (paths) => (paths.length > 0 ? { pathNot: paths } : {})
const list = (names) => names.join(', ') || 'nothing'

const source = '^(src|test|bench|script)/'
const names = Object.keys(rooms)
const machineRooms = [...names.filter((name) => rooms[name].node === every), 'bin']
const exactRooms = names.filter((name) => rooms[name].node !== every)
const inMachineRooms = `^src/${anyOf(machineRooms)}/`

const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to })

const tableRules = names.flatMap((room) => {
  const may = rooms[room]
  const here = `^src/${room}/`
  const near = [here, ...may.rooms.map((name) => `^src/${name}/`), ...may.contract.flatMap((name) => contracts[name])]
  const seen = [...may.rooms, ...may.contract.map((name) => `the contracts of ${name}`)]
  const packages = may.packages.length > 0 ? [inNpm(may.packages)] : []
  const builtins = may.node.length > 0 ? [inNode([may.node].flat())] : []
  return [
    rule(`${room}-rooms`, `Of other rooms, ${room}/ imports ${list(seen)}.`, { path: here, pathNot: test }, { path: source, pathNot: near }),
    rule(
      `${room}-tests`,
      `A test in ${room}/ sees what ${room}/ sees, and the shipped stand-ins; what needs more rooms belongs in test/.`,
      { path: `${here}.*${test}` },
      { path: '^src/', pathNot: [...near, ...standIns] },
    ),
    rule(
      `${room}-packages`,
      `Of npm, ${room}/ imports ${list(may.packages)}.`,
      { path: here, pathNot: room === 'store' ? [...proof, '^src/store/etcd\\.ts$'] : proof },
      { path: 'node_modules/', ...except(packages) },
    ),
    ...(may.node === every
      ? []
      : [rule(`${room}-node`, `Of Node, ${room}/ imports ${list(may.node)}.`, { path: here, pathNot: proof }, { dependencyTypes: core, ...except(builtins) })]),
  ]
})

const driverRules = [
  rule(
    'driver-kinds-apart',
    'Of another kind, a driver sees the contract file only.',
    { path: '^src/drivers/([^/]+)/', pathNot: test },
    { path: '^src/drivers/', pathNot: ['^src/drivers/$1/', ...contracts.drivers] },
  ),
  rule(
    'driver-tests-on-fakes',
    'Of another kind, the test of a driver sees the contract file, the suite that goes with it, and the fake.',
    { path: `^src/drivers/([^/]+)/.*${test}` },
    { path: '^src/drivers/', pathNot: ['^src/drivers/$1/', ...contracts.drivers, '^src/drivers/[^/]+/[^/]+\\.contract\\.ts$', ...standIns] },
  ),
  rule(
    'drivers-apart',
    'A driver knows no other driver of its kind; what two share lies beside the contract.',
    { path: '^src/drivers/([^/]+)/([^/]+)/' },
    { path: '^src/drivers/$1/[^/]+/', pathNot: '^src/drivers/$1/$2/' },
  ),
  rule(
    'driver-index',
    'bin/ alone knows which drivers exist.',
    { path: '^src/drivers/', pathNot: [test, ground] },
    { path: '^src/drivers/[^/]+/index\\.ts$' },
  ),
  rule('ssh-client', 'Only the channel ssh knows its client.', { path: '^src/drivers/', pathNot: ['^src/drivers/channel/ssh/', ...proof] }, { path: inNpm(['ssh2']) }),
  rule(
    'etcd-client',
    'store/etcd.ts imports the etcd client and nothing else of npm; the client is imported nowhere else.',
    { path: '^src/store/etcd\\.ts$' },
    { path: 'node_modules/', pathNot: 'node_modules/(@types/)?(etcd[^/]*|@grpc/[^/]+)/' },
  ),
]

const surfaceRules = [
  rule('web-api-client', 'Of api/, the dashboard sees the client.', { path: '^src/web/' }, { path: '^src/api/', pathNot: '^src/api/client(\\.ts$|/)' }),
  rule('bin-rooms', 'What ships never sees tests, benchmarks or scripts.', { path: '^src/bin/', pathNot: test }, { path: '^(test|bench|script)/' }),
  rule(
    'bin-packages',
    'What ships imports only what is installed with it.',
    { path: '^src/bin/', pathNot: proof },
    { path: 'node_modules/', pathNot: inNpm(runtimePackages) },
  ),
  rule('tt-imports', 'The client knows no truth and no machine, not even by type.', { path: '^src/bin/tt\\.ts$' }, { path: '^src/(store|drivers|host|cloud)/' }),
  rule('ttproxy-imports', 'The proxy keeps no truth and runs nothing.', { path: '^src/bin/ttproxy\\.ts$' }, { path: '^src/(store|drivers|host)/' }),
]

/** Of builtins that only some file of a machine room may use. Rooms with an exact list are held by the table. */
const builtinRules = [
  rule(
    'http-lazily',
    "Importing node:http runs getters that load undici (25 ms, 15 MB): process.getBuiltinModule('node:http'), and import type for its types.",
    { path: '^src/', pathNot: proof },
    { path: inNode(['http', 'https']), dependencyTypesNot: [...typeOnly, 'process-get-builtin-module'] },
  ),
  rule(
    'processes-in-base',
    'Processes are started by base/ alone.',
    { path: inMachineRooms, pathNot: ['^src/base/', ...proof] },
    { path: inNode(['child_process', 'cluster']), dependencyTypesNot: typeOnly },
  ),
  rule(
    'clocks-in-world',
    'Time comes in as World.',
    { path: inMachineRooms, pathNot: ['^src/base/world\\.ts$', ...proof] },
    { path: inNode(['timers', 'timers/promises', 'perf_hooks']), dependencyTypesNot: typeOnly },
  ),
  rule(
    'process-is-global',
    'process is used as the global, where lint sees that argv, environment and signals are read in bin/ alone.',
    { path: inMachineRooms, pathNot: proof },
    { path: inNode(['process']), dependencyTypesNot: typeOnly },
  ),
]

const proofRules = [
  rule('tests-seen-by-tests', 'Nothing but tests imports tests.', { path: '^(src|bench|script)/', pathNot: test }, { path: test }),
  rule('suites-seen-by-tests', 'Nothing but tests, and the suite it is a part of, imports the suite of a contract.', { path: '^(src|bench|script)/', pathNot: proof }, { path: suite }),
  rule('grounds-seen-by-tests', 'Nothing but tests, suites and other grounds stands on a ground.', { path: '^src/', pathNot: proof }, { path: `^src/.*${ground}` }),
  rule(
    'runner-seen-by-tests',
    'node:test and node:assert are for tests and suites.',
    { path: inMachineRooms, pathNot: proof },
    { path: inNode(['test', 'test/reporters', 'assert', 'assert/strict']) },
  ),
  rule(
    'suite-node',
    'Of Node, a suite imports the test runner and assert; in a machine room, everything.',
    { path: `^src/${anyOf(exactRooms)}/.*${suite}` },
    { dependencyTypes: core, pathNot: inNode(['test', 'assert', 'assert/strict']) },
  ),
  rule(
    'proof-packages',
    'Tests, suites and benchmarks import only what package.json declares.',
    { path: [...proof, '^(test|bench)/'] },
    { path: 'node_modules/', dependencyTypesNot: ['npm', 'npm-dev'] },
  ),
]

const wholeRules = [
  rule('resolves', 'Every import leads somewhere.', {}, { couldNotResolve: true }),
  rule('no-cycles', 'No cycles, but by types alone: those load nothing.', {}, { circular: true, viaOnly: { dependencyTypesNot: typeOnly } }),
]

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [...tableRules, ...driverRules, ...surfaceRules, ...builtinRules, ...proofRules, ...wholeRules],
  required: [
    {
      name: 'known-room',
      comment: `Every file under src/ is in a room (${names.join(', ')}, bin); in drivers/, in a kind (${kinds.join(', ')}).`,
      severity: 'error',
      module: { path: '^src/', pathNot: [`^src/${anyOf([...names.filter((name) => name !== 'drivers'), 'bin'])}/`, `^src/drivers/${anyOf(kinds)}/`] },
      to: { path: '^no such file$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '/golden/' },
    tsPreCompilationDeps: true,
    detectProcessBuiltinModuleCalls: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
