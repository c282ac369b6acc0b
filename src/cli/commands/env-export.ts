import { checkEnvName } from '../../model/names.ts'
import { describedEnv } from '../env-file.ts'
import type { Action } from '../invocation.ts'

/** `tt env export NAME…`. */
export const exportEnvs: Action = {
  operands: [{ name: 'NAME', many: true, of: 'env' }],
  flags: [],
  details: ['It is YAML, or with --json a list in JSON, and holds what is not as usual. To apply it where it came from changes nothing; to apply it elsewhere makes the same again.'],
  examples: [{ line: 'tt env export demo > demo.yaml', about: 'for tt env apply -f demo.yaml' }],
  async run(invocation) {
    const names = [...new Set(invocation.given.operands)]
    names.forEach(checkEnvName)
    const cloud = await invocation.cloud()
    const found = await Promise.allSettled(names.map((name) => cloud.collection('env').get(name, invocation.call)))
    const described = found.flatMap((one) => (one.status === 'fulfilled' ? [describedEnv(one.value.name, one.value.spec)] : []))
    if (invocation.json) await invocation.printJson(described)
    else if (described.length > 0) {
      const { Document, isScalar, visit } = await import('yaml')
      const documents = described.map((one) => {
        const document = new Document(one, { version: '1.2' })
        // Lists of numbers and names stand on one line.
        visit(document, { Seq: (_key, node) => void (node.flow = node.items.every(isScalar)) })
        return document.toString({ lineWidth: 0, flowCollectionPadding: false })
      })
      await invocation.print(documents.join('---\n'))
    }
    for (const one of found) if (one.status === 'rejected') await invocation.report(one.reason)
  },
}
