import type { Command, Flag } from '../base/arguments.ts'
import { flagsOf } from '../base/settings.ts'
import { serverSchema } from './server-settings.ts'

const flags: Flag[] = flagsOf(serverSchema)

/** What `ttserver` can be asked, as data: parser, help and reference read the same. */
export const serverCommands: readonly Command[] = [
  {
    words: '',
    summary: 'Serves: makes this machine a host of VMs and answers over HTTP, until it is told to stop',
    operands: [],
    flags,
    details: [
      'VMs outlive the server: the first SIGTERM or SIGINT ends the server in order and leaves them running, a second one ends it at once. The next start finds them again.',
      'With `--on-exit destroy` they end with it, however it ends: server and VMs run in a PID namespace of their own, in front of which stands a small process that takes all of it with it, by `kill -9` too. What is left then, records, disks and network, is taken away at an orderly end or by the next start, which names the ENVs that are gone.',
      'SIGHUP reads the settings again and takes over those that can change in life, as `tt reload` does; it also opens the log file anew. SIGUSR1 writes what the process is doing to `dump.json` in the data directory. Under systemd (`NOTIFY_SOCKET`) it says when it answers, reloads and stops, and feeds the watchdog.',
    ],
    examples: [
      { line: 'ttserver --image-path /tmp/images --serv-addr 127.0.0.1 --serv-port 9527', about: 'on this machine only' },
      { line: 'ttserver --engine fake', about: 'the whole cloud without running anything' },
    ],
  },
  {
    words: 'up',
    summary: 'Starts the server in the background unless it runs already, and waits until it answers',
    operands: [],
    flags: [...flags, { long: 'demo', about: 'Also makes the ENV demo and shows what it is good for' }],
    examples: [{ line: 'ttserver up', about: 'as `tt up` does' }],
  },
  {
    words: 'down',
    summary: 'Stops the server; its VMs run on',
    operands: [],
    flags: [...flags, { long: 'destroy', about: 'Also destroys every VM of the server and removes all it made, its data included' }],
    examples: [{ line: 'ttserver down --destroy', about: 'nothing is left' }],
  },
  {
    words: 'doctor',
    summary: 'Looks for what does not work and for what was left behind, while the server is stopped; mends it',
    operands: [],
    flags: [...flags, { long: 'fix', about: 'Mends what can be mended without harm' }, { long: 'leaks', about: 'Shows only what was left behind' }, { long: 'json', about: 'For programs' }],
    details: ['A running server is asked with `tt doctor`, which does the same. The exit status is 3 if something is bad and was not mended.'],
    examples: [{ line: 'ttserver doctor --fix', about: 'for a server that does not start because a record of its store is damaged' }],
  },
  {
    words: 'settings',
    summary: 'Shows every setting with its value and where that came from',
    operands: [],
    flags: [...flags, { long: 'json', about: 'For programs' }],
    examples: [{ line: 'TT_MEM_TOTAL=4096 ttserver settings', about: 'what would hold' }],
  },
]
