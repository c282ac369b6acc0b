import { commandManual, flagTable, settingTable } from '../base/usage.ts'
import { clientSchema } from './client-settings.ts'
import { entries, globalFlags, program } from './commands.ts'
import { errorCodes } from '../model/errors.ts'

/** The reference of the client as Markdown, out of what the program itself reads: it cannot say anything else than what holds. */
export async function cliReference(): Promise<string> {
  const commands = await Promise.all(entries.map(async (entry) => commandManual(program, { ...entry, ...(await entry.load()) })))
  return [
    '# tt',
    'The client. This page is made from the program; `tt COMMAND --help` says the same.',
    '## Everywhere',
    flagTable(globalFlags),
    ...commands,
    '## Settings',
    'The first of flag, environment and file that has a value gives it; `tt status` says which did. The file is `config.json` in `${XDG_CONFIG_HOME:-~/.config}/tt`, readable by its owner only; a key it does not know is an error.',
    settingTable(clientSchema),
    '## Exit status',
    statusTable(),
  ]
    .join('\n\n')
    .concat('\n')
}

function statusTable(): string {
  const codes = Object.entries(errorCodes).map(([code, { exit, retry }]): [number, string] => [exit, `\`${code}\`${retry ? ', may go well later' : ''}`])
  const more: [number, string][] = [
    [0, 'all is well'],
    [3, '`tt doctor` found something bad, or left behind, that was not mended; `tt env apply --dry-run` found something to do'],
    [130, 'Ctrl-C twice, or once while `--watch` goes on'],
    [141, 'the reader of the output went away'],
  ]
  const rows = [...codes, ...more].sort(([one], [two]) => one - two)
  return ['| status | |', '|---|---|', ...rows.map(([status, about]) => `| ${status} | ${about} |`), '', 'Several errors end with the highest status. `tt env run` also ends with those of the guests.'].join('\n')
}
