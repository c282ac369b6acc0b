/**
 * What a file loads when it runs, by way of whatever it imports: type-only imports are left out here, for they are erased.
 * Direct imports are judged by .dependency-cruiser.mjs.
 */
import imports from './.dependency-cruiser.mjs'

const proof = ['\\.test\\.ts$', '\\.contract\\.ts$']
const reaching = (name, comment, from, path) => ({ name, comment, severity: 'error', from, to: { path, reachable: true } })

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    reaching(
      'browser-safe',
      'model/, web/, api/client and api/routes run in a browser: no way leads from them to a builtin of Node or a package but valibot.',
      { path: ['^src/(model|web)/', '^src/api/(client|routes)(\\.ts$|/)'], pathNot: proof },
      '^(?!src/|node_modules/(valibot|@valibot/to-json-schema)/)',
    ),
    reaching('tt-reach', 'The client loads no truth and no machine.', { path: '^src/bin/tt\\.ts$' }, '^src/(store|drivers|host|cloud)/'),
    reaching('ttproxy-reach', 'The proxy keeps no truth and runs nothing.', { path: '^src/bin/ttproxy\\.ts$' }, '^src/(store|drivers|host)/'),
  ],
  options: { ...imports.options, tsPreCompilationDeps: false },
}
