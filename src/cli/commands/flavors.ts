import { type Flavor, flavors } from '../../model/flavors.ts'
import { megabytes } from '../../model/units.ts'
import type { Action } from '../invocation.ts'
import { type Column, table } from '../table.ts'

/** `tt flavor list`. */
export const list: Action = {
  operands: [],
  flags: [{ long: 'quiet', short: 'q', about: 'Print names only, one a line' }],
  details: ['A flavor is a size of VMs by name or number, as OpenStack has them. A disk of - is as large as the image is.'],
  examples: [{ line: 'tt flavor list', about: 'what --flavor takes' }],
  async run({ json, quiet, print, printJson, terminal }) {
    if (json) return printJson({ flavors })
    await print(quiet ? flavors.map(({ name }) => name).join('\n') : table(flavors, columns, terminal.out.screen()))
  },
}

const columns: Column<Flavor>[] = [
  { title: 'NUMBER', align: 'right', text: ({ id }) => id },
  { title: 'NAME', text: ({ name }) => name },
  { title: 'CPU', align: 'right', text: ({ cpu }) => String(cpu) },
  { title: 'MEMORY', align: 'right', text: ({ memMb }) => megabytes(memMb) },
  { title: 'DISK', align: 'right', text: ({ diskMb }) => (diskMb === 0 ? '' : megabytes(diskMb)) },
]
