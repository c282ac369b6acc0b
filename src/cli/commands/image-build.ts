import { errorOf, fail } from '../../model/errors.ts'
import { archs } from '../../model/image.ts'
import { shown } from '../../model/names.ts'
import type { Action } from '../invocation.ts'
import { progress } from '../progress.ts'
import { visible } from '../text.ts'
import { framesOf } from '../vm-frames.ts'

/** `tt image build NAME`. */
export const build: Action = {
  operands: [{ name: 'NAME', of: 'image' }],
  flags: [{ long: 'arch', value: 'ARCH', about: `For another processor, as image NAME-ARCH: ${archs.join(', ')}`, default: 'amd64' }],
  details: ['It is built on every host that has the recipe. Hosts of one machine build it once, for all servers there.'],
  examples: [
    { line: 'tt image build micro', about: 'so that the first ENV of it does not wait' },
    { line: 'tt image build micro --arch arm64', about: 'makes the image micro-arm64' },
  ],
  async run(invocation) {
    const { given, call, json, quiet, terminal } = invocation
    const [recipe = ''] = given.operands
    const asked = given.one('arch')
    const arch = asked === undefined ? undefined : (archs.find((one) => one === asked) ?? fail('invalid', `${shown(asked)} is no processor`, { remedy: `there are ${archs.join(', ')}` }))
    const image = arch === undefined || arch === 'amd64' ? recipe : `${recipe}-${arch}`
    const cloud = await invocation.cloud()
    const session = await cloud.open({ type: 'build', image }, call)
    const built: { host: string; image: string }[] = []
    await using bar = progress(invocation)
    bar.show(`${image}: building`)
    for await (const frame of framesOf(session, terminal.signal)) {
      if (frame.type === 'note') bar.show(`${image}: ${frame.host === undefined ? '' : `${frame.host}: `}${frame.text}`)
      if (frame.type === 'built') built.push({ host: frame.host, image: frame.image })
      if (frame.type === 'problem') await invocation.report(errorOf(frame.problem))
    }
    await bar[Symbol.asyncDispose]()
    if (json) return invocation.printJson({ built })
    if (!quiet) for (const one of built) await invocation.print(`${visible(one.image)}: built on ${visible(one.host)}`)
  },
}
