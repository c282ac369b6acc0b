import { nearest } from '../../base/nearest.ts'
import { errorOf } from '../../model/errors.ts'
import { shown } from '../../model/names.ts'
import type { Action, Invocation } from '../invocation.ts'
import { type Column, table } from '../table.ts'

type Row = Awaited<ReturnType<Invocation['settings']>>['rows'][number]

/** `tt settings`: what holds, and which of flag, environment, file and default says so. Asks nobody. */
export const settings: Action = {
  operands: [{ name: 'KEY', many: true, optional: true, of: 'setting' }],
  flags: [],
  details: ['The first of flag, environment and file that has a value gives it. A token is never shown.'],
  examples: [
    { line: 'tt settings', about: 'all of them' },
    { line: 'tt settings server --json', about: 'one, for a program' },
  ],
  async run(invocation) {
    const { given, json, print, printJson, terminal } = invocation
    const { rows } = await invocation.settings()
    const wanted = given.operands.length === 0 ? rows : rows.filter(({ key }) => given.operands.includes(key))
    if (json) await printJson({ settings: Object.fromEntries(wanted.map(({ key, value, origin, about }) => [key, { value: value === '' ? null : value, from: origin, about }])) })
    else if (wanted.length > 0) await print(table(wanted, columns, terminal.out.screen()))
    for (const key of given.operands) {
      if (rows.some((row) => row.key === key)) continue
      const meant = nearest(key, rows.map((row) => row.key))
      await invocation.report(errorOf({ code: 'not_found', message: `there is no setting ${shown(key)}`, remedy: meant === undefined ? 'see `tt settings`' : `did you mean ${meant}?` }))
    }
  },
}

const columns: Column<Row>[] = [
  { title: 'SETTING', text: ({ key }) => key },
  { title: 'VALUE', cut: true, text: ({ value }) => value },
  { title: 'FROM', cut: true, text: ({ origin }) => origin },
  { title: 'ABOUT', cut: true, text: ({ about }) => about },
]
