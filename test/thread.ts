import { parentPort, Worker } from 'node:worker_threads'

/** A question to a file that `answers`, and what it answered. */
type Said<A> = { answer: A } | { fault: string }

export interface Thread<Q, A> extends AsyncDisposable {
  ask(question: Q): Promise<A>
}

/**
 * The file in a thread of its own, one question at a time: the test runner follows every promise of its own thread, and where there are millions of
 * them that takes longer than the test.
 */
export function thread<Q, A>(file: URL): Thread<Q, A> {
  const worker = new Worker(file, { execArgv: ['--disable-warning=ExperimentalWarning'] })
  return {
    async ask(question) {
      const { promise, resolve, reject } = Promise.withResolvers<Said<A>>()
      worker.once('message', resolve).once('error', reject)
      worker.postMessage(question)
      const said = await promise
      worker.off('error', reject)
      if ('fault' in said) throw new Error(said.fault)
      return said.answer
    },
    [Symbol.asyncDispose]: async () => void (await worker.terminate()),
  }
}

/** In the file of a thread: what it answers. */
export function answers<Q, A>(work: (question: Q) => Promise<A>): void {
  const tell = (said: Said<A>) => parentPort?.postMessage(said)
  parentPort?.on('message', (question: Q) => {
    work(question).then((answer) => tell({ answer }), (fault: unknown) => tell({ fault: fault instanceof Error ? fault.message : String(fault) }))
  })
}
