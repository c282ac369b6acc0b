import type { Problem } from './errors.ts'

/** What a task does. */
export type TaskVerb = 'create' | 'update' | 'stop' | 'start' | 'remove'
export const taskVerbs = ['create', 'update', 'stop', 'start', 'remove'] as const satisfies readonly TaskVerb[]

/** `queued`: waits for its turn; `running`; the others are its end. */
export type TaskState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled'
export const taskStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const satisfies readonly TaskState[]

/** A change that takes time. Its name is its id. */
export interface TaskSpec {
  verb: TaskVerb
  /** What is changed: `env/demo`. */
  subject: string
  /** It has failed if it is not over so long after it began to run. */
  limitSeconds: number
}

export interface TaskStatus {
  state: TaskState
  /** VMs that are as wanted, of all. */
  done: number
  total: number
  started?: string
  ended?: string
  /** Why it failed or was cancelled; of a task that runs, what holds it up now. */
  problem?: Problem
}
