import { fail } from '../../model/errors.ts'
import type { Action, Invocation } from '../invocation.ts'
import { progress } from '../progress.ts'
import { features } from '../selftest/features.ts'
import { chosen, imageFor, selfTest, type Verdict } from '../selftest/selftest.ts'
import { stageOf } from '../selftest/stage.ts'
import { type Colour, painted, visible } from '../text.ts'

/** Something does not work: the status of a test that failed. */
const failedStatus = 1

/** `tt selftest`. */
export const selftest: Action = {
  operands: [],
  flags: [
    { long: 'image', value: 'PREFIX', of: 'image', about: 'What its VMs are made from', default: 'the smallest whose guests take commands' },
    { long: 'only', value: 'FEATURE', list: 'commas', about: 'Only these' },
    { long: 'keep', about: 'Leave what it made, to look at; ENVs end by themselves within half an hour' },
  ],
  details: [
    'It makes small ENVs of its own, up to four VMs, looks whether the cloud does what it says, and takes them away again, also after Ctrl-C. All of it goes through the API, from this machine: so it also tells whether ports are reached from here. What cannot be seen, because an engine only simulates guests, a network driver has no such feature or you may not, is skipped with the reason.',
    `The features: ${features.map(({ name, about }) => `${name} (${about})`).join('; ')}.`,
    'The exit status is 0 if nothing failed, else 1. With --json there is one document at the end: {"features":[{"feature","result","seconds","reason"}],"passed","failed","skipped"}.',
  ],
  examples: [
    { line: 'tt selftest', about: 'after an installation' },
    { line: 'tt selftest --only ports,udp --image micro', about: 'why is it not reached?' },
  ],
  async run(invocation) {
    const { given, call, json, terminal } = invocation
    const wanted = chosen(given.all('only'))
    const cloud = await invocation.cloud()
    const image = await imageFor(cloud, given.one('image'), call)
    const stage = stageOf({ cloud, terminal, call, image, connect: (token) => connected(invocation, token) })
    await using bar = progress(invocation)
    const width = Math.max(...features.map(({ name }) => name.length))
    const verdicts = await selfTest(stage, wanted, {
      keep: given.has('keep'),
      telling: {
        begin: ({ name, about }) => bar.show(`${name}: ${about}`),
        end: async (verdict) => (json ? undefined : invocation.print(rowOf(verdict, width, invocation))),
      },
    })
    const count = (result: Verdict['result']) => verdicts.filter((one) => one.result === result).length
    const [passed, failed, skipped] = [count('pass'), count('fail'), count('skip')]
    if (failed > 0) invocation.raise(failedStatus)
    if (json) await invocation.printJson({ image: image.name, features: verdicts, passed, failed, skipped })
    else await invocation.note(`tt: ${passed} passed, ${failed} failed, ${skipped} skipped`)
    if (terminal.signal.aborted) fail('cancelled', given.has('keep') ? 'interrupted; what it made is still there' : 'interrupted; what it made was taken away', { remedy: 'call it again to see all features, or some by --only' })
  },
}

async function connected({ settings, terminal }: Invocation, token: string) {
  const { server, fingerprint } = await settings()
  return (await terminal.connect(server, { token, ...(fingerprint === undefined ? {} : { fingerprint }) })).cloud
}

const colours: Record<Verdict['result'], Colour> = { pass: 'green', fail: 'red', skip: 'yellow' }

function rowOf({ feature, result, seconds, reason, remedy, about }: Verdict, width: number, { terminal }: Invocation): string {
  const screen = terminal.out.screen()
  const line = `${painted(result.toUpperCase(), colours[result], screen)}  ${feature.padEnd(width)}  ${`${seconds.toFixed(1)} s`.padStart(7)}  ${visible(reason ?? about)}`
  return remedy === undefined ? line : `${line}\n${' '.repeat(width + 17)}${painted(visible(remedy), 'dim', screen)}`
}
