import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Problem } from '../model/errors.ts'
import { type Database, openDatabase, type Order, type Outcome } from './sqlite-database.ts'
import { problemFor } from './sqlite-faults.ts'
import type { Damage } from './store.ts'
import { type Flat, flatRows, ordersOf } from './sqlite-wire.ts'

/** Orders for the database, a question, or the last word. */
export type ToWorker = Flat | 'check' | 'close'

/** First the rows that there are, then `opened` with the revision, then the outcomes of the orders in their order; `broken` ends it at any point. */
export type FromWorker = { rows: Flat } | { opened: number } | { outcomes: Outcome[] } | { damages: Damage[] } | { broken: Problem }

/** The thread of the database: it waits for the disk so that the server need not. */
function work(port: MessagePort, file: string): void {
  const tell = (message: FromWorker) => port.postMessage(message)
  const guarded = (step: () => void) => {
    try {
      step()
    } catch (fault) {
      tell({ broken: problemFor(fault, file) })
      port.close()
    }
  }
  guarded(() => {
    const database = openDatabase(file)
    for (const rows of flatRows(database.rows())) tell({ rows })
    tell({ opened: database.revision })
    port.on('message', (message: ToWorker) => guarded(() => take(database, message)))
  })

  const take = (database: Database, first: ToWorker) => {
    const { orders, check, close } = gather(first)
    if (orders.length > 0) tell({ outcomes: database.carryOut(orders) })
    if (check) tell({ damages: database.check() })
    if (!close) return
    database[Symbol.dispose]()
    port.close()
  }

  /** All that came while the last transaction ran is one transaction now: the price of a sync is shared. */
  const gather = (first: ToWorker) => {
    const orders: Order[] = []
    let check = false
    for (let message: ToWorker | undefined = first; message !== undefined; message = receiveMessageOnPort(port)?.message) {
      if (message === 'close') return { orders, check, close: true }
      if (message === 'check') check = true
      else for (const order of ordersOf(message)) orders.push(order)
    }
    return { orders, check, close: false }
  }
}

if (parentPort) work(parentPort, (workerData as { file: string }).file)
