/**
 * What works in this process, for who looks into it while it runs: a dump of the state, and meters. Whatever has a state that people may ask about
 * registers itself and is gone with its owner. One registry for the process: it is asked about the process as a whole.
 */
export interface Inspectable {
  /** What sort of thing: `loop`, `gate`, `view`. */
  kind: string
  /** Which of them; need not be unique. */
  name: string
  /** Plain data and never a secret, small whatever the load. Called only when somebody looks. */
  state(): object
}

const registered = new Set<Inspectable>()

/** Registers a thing until the returned is disposed. */
export function inspectable(thing: Inspectable): Disposable {
  registered.add(thing)
  return { [Symbol.dispose]: () => void registered.delete(thing) }
}

/** The state of everything there is, or of one kind. One thing that cannot tell is no reason not to hear the others. */
export function inspected(kind?: string): { kind: string; name: string; state: object }[] {
  return [...registered]
    .filter((thing) => kind === undefined || thing.kind === kind)
    .map((thing) => ({ kind: thing.kind, name: thing.name, state: stateOf(thing) }))
}

function stateOf(thing: Inspectable): object {
  try {
    return thing.state()
  } catch (fault) {
    return { fault: String(fault) }
  }
}
