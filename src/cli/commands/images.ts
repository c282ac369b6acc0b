import { errorOf } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { megabytes } from '../../model/units.ts'
import type { Action, Invocation } from '../invocation.ts'
import { imageShape } from '../shapes.ts'
import { type Column, facts, table } from '../table.ts'
import { painted, visible } from '../text.ts'

type Image = Resource<'image'>

/** `tt image list`. */
export const list: Action = {
  operands: [],
  flags: [{ long: 'quiet', short: 'q', about: 'Print names only, one a line' }],
  examples: [{ line: 'tt image list', about: 'what --os-prefix can pick, and the sizes a VM of it gets' }],
  run: (invocation) => printImages(invocation, () => true),
}

/** `tt image recipes`. */
export const recipes: Action = {
  operands: [],
  flags: [{ long: 'quiet', short: 'q', about: 'Print names only, one a line' }],
  details: [
    'A recipe makes a bootable image on the server itself. The first VM that wants the image builds it; `tt image build` does it now.',
    'Some make images for other processors, too, such as micro-arm64: those are listed once `tt image build micro --arch arm64` has built them.',
  ],
  examples: [{ line: 'tt image recipes', about: 'which there are, and which are built' }],
  run: (invocation) => printImages(invocation, ({ spec }) => spec.buildable !== undefined),
}

/** `tt image show NAME…`. */
export const show: Action = {
  operands: [{ name: 'NAME', many: true, of: 'image' }],
  flags: [],
  examples: [{ line: 'tt image show micro', about: 'its engines, sizes, ports and where it lies' }],
  async run(invocation) {
    const { call, json, terminal } = invocation
    const cloud = await invocation.cloud()
    const found = await Promise.allSettled([...new Set(invocation.given.operands)].map((name) => cloud.collection('image').get(name, call)))
    const images = found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    if (json) await invocation.printJson({ images: images.map(imageShape) })
    else if (images.length > 0) await invocation.print(images.map((image) => `${painted(visible(image.name), 'bold', terminal.out.screen())}\n${details(image)}`).join('\n\n'))
    for (const one of found) if (one.status === 'rejected') await invocation.report(one.reason)
  },
}

async function printImages(invocation: Invocation, wanted: (image: Image) => boolean): Promise<void> {
  const { call, json, quiet, terminal } = invocation
  const cloud = await invocation.cloud()
  const { items, missing } = await cloud.collection('image').list({}, call)
  const images = items.filter(wanted)
  if (json) await invocation.printJson({ images: images.map(imageShape), missing })
  else if (quiet) for (const { name } of images) await invocation.print(visible(name))
  else await invocation.print(table(images, images.some(isForeign) ? columns : columns.filter(({ title }) => title !== archTitle), terminal.out.screen()))
  for (const problem of missing) await invocation.report(errorOf(problem))
}

const stateOf = ({ spec }: Image) => (spec.buildable ? 'not built' : 'ready')

/** The column is there if it says something. */
const archTitle = 'ARCH'
const isForeign = ({ spec }: Image) => spec.arch !== 'amd64'

const columns: Column<Image>[] = [
  { title: 'IMAGE', cut: true, text: ({ name }) => name },
  { title: 'STATE', text: stateOf, colour: ({ spec }) => (spec.buildable ? 'yellow' : 'green') },
  { title: archTitle, text: ({ spec }) => spec.arch, colour: (image) => (isForeign(image) ? 'yellow' : undefined) },
  { title: 'ENGINES', text: ({ spec }) => spec.engines.join(',') },
  { title: 'CPU', align: 'right', text: ({ spec }) => String(spec.cpu) },
  { title: 'MEMORY', align: 'right', text: ({ spec }) => megabytes(spec.memMb) },
  { title: 'DISK', align: 'right', text: ({ spec }) => megabytes(spec.diskMb) },
  { title: 'COMMANDS', text: ({ spec }) => spec.ways[0] ?? 'no' },
  { title: 'ABOUT', cut: true, text: ({ spec }) => spec.memo ?? '' },
]

function details(image: Image): string {
  const { spec, status } = image
  const megabyte = 1024 * 1024
  const pairs: [string, string][] = [
    ['about', spec.memo ?? ''],
    ['state', stateOf(image)],
    ['engines', spec.engines.join(', ')],
    ['arch', spec.arch],
    ['ways in', spec.ways.length > 0 ? spec.ways.map((way) => wayTexts[way]).join(', ') : 'none: env run is not possible'],
    ['size of a VM', `${spec.cpu} cpu, ${megabytes(spec.memMb)} memory, ${megabytes(spec.diskMb)} disk`],
    ['ports', spec.ports.join(', ')],
    ['features', spec.features.join(', ')],
    ['takes', megabytes(Math.ceil(spec.sizeBytes / megabyte))],
    ['digest', spec.digest],
    ['hosts', (status?.hosts ?? []).join(', ')],
  ]
  return facts(pairs).replaceAll(/^/gm, '  ')
}

const wayTexts = { rexec: 'our agent (rexec)', ssh: 'ssh', qga: 'the guest agent of QEMU (qga)', engine: 'its engine' } as const
