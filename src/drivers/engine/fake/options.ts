import * as v from 'valibot'
import { driverOptions } from '../../../model/driver-options.ts'

const dayMs = 86_400_000
const ms = v.pipe(v.number('a number of ms'), v.minValue(0, 'at least 0 ms'), v.maxValue(dayMs, `at most ${dayMs} ms`))
/** A time, or the least and the most of one that differs from guest to guest. */
const Delay = v.union([ms, v.pipe(v.strictTuple([ms, ms]), v.check(([least, most]) => least <= most, 'two of them in order'))], 'a number of ms, or two of them in order')
/** Which calls fail: a share of them, every Nth, or those for ids that match one of the patterns, in which `*` is anything. */
const Failing = v.union(
  [
    v.pipe(v.number(), v.minValue(0, 'a share from 0 to 1'), v.maxValue(1, 'a share from 0 to 1')),
    v.strictObject({ every: v.pipe(v.number(), v.integer(), v.minValue(1, 'at least 1')) }),
    v.pipe(v.array(v.pipe(v.string(), v.regex(/^[A-Za-z0-9._*-]{1,64}$/, 'a pattern of ids such as "*.3"'))), v.maxLength(100)),
  ],
  'a share from 0 to 1, {"every": N}, or patterns of ids such as "*.3"',
)

const behaviour = {
  /** From `start` to its answer. */
  startMs: v.optional(Delay),
  /** From then until commands are taken. */
  bootMs: v.optional(Delay),
  /** How long it takes to halt when it is asked to. */
  stopMs: v.optional(Delay),
  /** What each command takes besides its own time. */
  execMs: v.optional(Delay),
  /** It ends by itself this long after it started. */
  exitAfterMs: v.optional(Delay),
  failStart: v.optional(Failing),
  failExec: v.optional(Failing),
  /** Guests that boot and then answer nothing any more, as if they hung. */
  silent: v.optional(Failing),
}

export type Delay = v.InferOutput<typeof Delay>
export type Failing = v.InferOutput<typeof Failing>

const Behaviour = v.strictObject(behaviour)
const EngineOptions = v.strictObject({ ...behaviour, seed: v.optional(v.pipe(v.number(), v.integer('a whole number'))) })

/** How a fake guest behaves; what is left out takes no time and never fails. */
export type Behaviour = v.InferOutput<typeof Behaviour>

/** The engine's options: how its guests behave unless their plan says otherwise, and the seed of all that is left to chance. */
export const engineOptions = (options: unknown) => driverOptions('engine fake', EngineOptions, options)

/** A plan's options: what is different for this guest. */
export const planOptions = (options: unknown): Behaviour => driverOptions('a fake guest', Behaviour, options)
