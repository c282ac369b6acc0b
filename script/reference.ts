import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openapi } from '../src/api/openapi.ts'
import { apiReference } from '../src/api/reference.ts'
import { commandManual, settingTable } from '../src/base/usage.ts'
import { serverCommands } from '../src/bin/server-commands.ts'
import { serverSchema } from '../src/bin/server-settings.ts'
import { cliReference } from '../src/cli/reference.ts'
import { rolesReference } from '../test/roles-table.ts'

const dir = 'docs/reference'
const pages: Record<string, string> = {
  'tt.md': await cliReference(),
  'ttserver.md': serverReference(),
  'api.md': apiReference(),
  'roles.md': rolesReference(),
  'openapi.json': `${JSON.stringify(openapi(), null, 2)}\n`,
}

const stale = Object.entries(pages).filter(([name, text]) => read(join(dir, name)) !== text)
if (process.argv.includes('--check')) {
  for (const [name] of stale) process.stderr.write(`${join(dir, name)} is not what the source says; run script/docs\n`)
  process.exitCode = stale.length > 0 ? 1 : 0
} else {
  mkdirSync(dir, { recursive: true })
  for (const [name, text] of stale) writeFileSync(join(dir, name), text)
  process.stdout.write(`${stale.length} of ${Object.keys(pages).length} pages written\n`)
}

function serverReference(): string {
  const flagsOnce = serverCommands.map((command) => (command.words === '' ? command : { ...command, flags: command.flags.filter((flag) => !serverCommands[0]?.flags.includes(flag)) }))
  return ['# ttserver', '', '<!-- Made by script/docs from src/bin; do not edit. -->', '', ...flagsOnce.map((command) => commandManual('ttserver', command)), '## Settings', '', settingTable(serverSchema), ''].join('\n')
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
