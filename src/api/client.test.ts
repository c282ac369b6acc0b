import { cloudContract } from '../model/cloud.contract.ts'
import { sessionContract } from '../model/session.contract.ts'
import { httpCloud } from './client.ts'
import { sampleServer, sampleToken } from './sample-server.ts'

const far = {
  name: 'sample over HTTP',
  async make() {
    const served = await sampleServer()
    return { cloud: served.remote, image: 'sample:micro', [Symbol.asyncDispose]: () => served[Symbol.asyncDispose]() }
  },
}
const twiceFar = {
  name: 'sample over HTTP over HTTP',
  async make() {
    const inner = await sampleServer()
    const outer = await sampleServer({ cloud: inner.remote })
    const stack = new AsyncDisposableStack()
    stack.use(inner)
    stack.use(outer)
    return { cloud: outer.remote, image: 'sample:micro', [Symbol.asyncDispose]: () => stack.disposeAsync() }
  },
}
const byBrowser = {
  name: 'sample over fetch and the WebSocket of browsers',
  async make() {
    const served = await sampleServer()
    return { cloud: httpCloud(served.url, { token: sampleToken }), image: 'sample:micro', [Symbol.asyncDispose]: () => served[Symbol.asyncDispose]() }
  },
}

for (const one of [far, twiceFar]) {
  cloudContract(one)
  sessionContract(one)
}
sessionContract(byBrowser)
