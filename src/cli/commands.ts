import type { Flag } from '../base/arguments.ts'
import type { Action } from './invocation.ts'

export const program = 'tt'

/** Flags that every command knows, before its words or after. */
export const globalFlags: readonly Flag[] = [
  { long: 'json', about: 'Answer in JSON, errors too' },
  { long: 'server', value: 'HOST:PORT', about: 'Talk to this server instead of the configured one' },
  { long: 'client-id', value: 'NAME', about: 'Ask as the one whose token `tt config` has saved under this name, at its server' },
  { long: 'quiet', short: 'q', about: 'No progress and no remarks' },
  { long: 'help', short: 'h', about: 'Show this help' },
  { long: 'version', short: 'V', about: 'Show the version', hidden: true },
]

/** A command by its words. What it does is loaded when it is called: none pays for the others. */
export interface Entry {
  words: string
  summary: string
  load(): Promise<Action>
}

export const entries: readonly Entry[] = [
  { words: 'config', summary: 'Say which server to use', load: async () => (await import('./commands/config.ts')).config },
  { words: 'status', summary: 'Show the settings of the client, or with --server the hosts', load: async () => (await import('./commands/status.ts')).status },
  { words: 'env add', summary: 'Make an ENV: VMs that live and end together', load: async () => (await import('./commands/env-add.ts')).add },
  { words: 'env list', summary: 'List your ENVs', load: async () => (await import('./commands/env-list.ts')).list },
  { words: 'env listall', summary: "List everybody's ENVs, as far as you may see them", load: async () => (await import('./commands/env-list.ts')).listAll },
  { words: 'env show', summary: 'Show ENVs with their VMs, addresses and ports', load: async () => (await import('./commands/env-show.ts')).show },
  { words: 'env run', summary: 'Run a command in the VMs of ENVs, all at once', load: async () => (await import('./commands/env-run.ts')).run },
  { words: 'env shell', summary: 'Use a shell in a VM, at this terminal', load: async () => (await import('./commands/env-shell.ts')).shell },
  { words: 'env push', summary: 'Send files and directories into VMs, all at once', load: async () => (await import('./commands/env-push.ts')).push },
  { words: 'env get', summary: 'Fetch files and directories from VMs', load: async () => (await import('./commands/env-get.ts')).get },
  { words: 'env logs', summary: 'Show what VMs wrote to their serial line', load: async () => (await import('./commands/env-logs.ts')).logs },
  { words: 'env console', summary: 'Use the serial line of a VM; Ctrl-] leaves', load: async () => (await import('./commands/env-console.ts')).console },
  { words: 'env vnc', summary: 'Let a VNC viewer use the screen of a VM', load: async () => (await import('./commands/env-vnc.ts')).vnc },
  { words: 'env stop', summary: 'Halt the VMs of ENVs; disks, addresses and ports stay', load: async () => (await import('./commands/env-power.ts')).stop },
  { words: 'env start', summary: 'Start the VMs of stopped ENVs again', load: async () => (await import('./commands/env-power.ts')).start },
  { words: 'env update', summary: 'Change ENVs: their end, ports, denials, sizes, how many VMs they have', load: async () => (await import('./commands/env-update.ts')).update },
  { words: 'env apply', summary: 'Make ENVs be as a file says', load: async () => (await import('./commands/env-apply.ts')).apply },
  { words: 'env export', summary: 'Write ENVs as such a file', load: async () => (await import('./commands/env-export.ts')).exportEnvs },
  { words: 'env del', summary: 'Delete ENVs with all that is in them', load: async () => (await import('./commands/env-del.ts')).del },
  { words: 'task list', summary: 'List changes that go on, and those of the last hour', load: async () => (await import('./commands/tasks.ts')).list },
  { words: 'task show', summary: 'Show tasks in full', load: async () => (await import('./commands/tasks.ts')).show },
  { words: 'task wait', summary: 'Wait until tasks are over', load: async () => (await import('./commands/task-wait.ts')).wait },
  { words: 'task cancel', summary: 'Take back what has not ended', load: async () => (await import('./commands/tasks.ts')).cancel },
  { words: 'flavor list', summary: 'List the sizes of VMs that have a name', load: async () => (await import('./commands/flavors.ts')).list },
  { words: 'image list', summary: 'List the images VMs can be made from', load: async () => (await import('./commands/images.ts')).list },
  { words: 'image show', summary: 'Show images in full', load: async () => (await import('./commands/images.ts')).show },
  { words: 'image recipes', summary: 'List the images that the servers build themselves', load: async () => (await import('./commands/images.ts')).recipes },
  { words: 'image build', summary: 'Build an image from its recipe now', load: async () => (await import('./commands/image-build.ts')).build },
  { words: 'image import', summary: 'Make an image of a disk: qcow2, raw, vmdk or vdi', load: async () => (await import('./commands/image-import.ts')).importImage },
  { words: 'image del', summary: 'Delete images that were imported, or kept from disks', load: async () => (await import('./commands/image-del.ts')).del },
  { words: 'events', summary: 'Show what happened lately', load: async () => (await import('./commands/events.ts')).events },
  { words: 'reload', summary: 'Let the servers read their settings again', load: async () => (await import('./commands/reload.ts')).reload },
  { words: 'user add', summary: 'Make an account, with a role and a quota', load: async () => (await import('./commands/user-edit.ts')).add },
  { words: 'user list', summary: 'List the accounts, with what they use', load: async () => (await import('./commands/users.ts')).list },
  { words: 'user show', summary: 'Show accounts in full', load: async () => (await import('./commands/users.ts')).show },
  { words: 'user update', summary: 'Change roles, rights and quotas', load: async () => (await import('./commands/user-edit.ts')).update },
  { words: 'user del', summary: 'Delete accounts and all their tokens', load: async () => (await import('./commands/user-edit.ts')).del },
  { words: 'token add', summary: 'Make a token and print its secret, once', load: async () => (await import('./commands/tokens.ts')).add },
  { words: 'token list', summary: 'List tokens', load: async () => (await import('./commands/tokens.ts')).list },
  { words: 'token del', summary: 'Revoke tokens, at once', load: async () => (await import('./commands/tokens.ts')).del },
  { words: 'audit', summary: 'Show who did what', load: async () => (await import('./commands/audit.ts')).audit },
  { words: 'doctor', summary: 'Look for what does not work, and for what was left behind; mend it', load: async () => (await import('./commands/doctor.ts')).doctor },
  { words: 'settings', summary: 'Show what holds for this client, and where each value comes from', load: async () => (await import('./commands/settings.ts')).settings },
  { words: 'selftest', summary: 'See whether all that the cloud can do works, after an installation', load: async () => (await import('./commands/selftest.ts')).selftest },
  { words: 'completion', summary: 'Print the completion script of a shell', load: async () => (await import('./commands/completion.ts')).completion },
]

/** What the words of a group are about. */
export const groups: Readonly<Record<string, string>> = {
  env: 'ENVs: groups of VMs that live and end together',
  task: 'Changes that take time',
  flavor: 'Sizes of VMs that have a name',
  image: 'What VMs can be made from',
  user: 'Accounts: who may do what, and how much',
  token: 'What says who you are',
}

/** Done by the server's program, as they work while no server runs; the launcher sees to it. */
export const serverWords: Readonly<Record<string, string>> = {
  up: 'Start a server in the background, with the ENV demo',
  down: 'Stop the server; its VMs go on, unless --destroy',
}
