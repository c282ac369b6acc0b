import type { Call } from './call.ts'
import type { Problem } from './errors.ts'

/** Which VMs of which ENVs: all of them, or those that match any of the filters. */
export interface VmSelection {
  envs: string[]
  /** Image prefixes as in `env add`. */
  prefixes?: string[]
  indices?: number[]
}

/** A command for a guest: a program with its arguments, or text for its shell. */
export type Command = { argv: string[]; shell?: never } | { shell: string; argv?: never }

/** What can be opened. Each names its VMs; frames say which VM they are of. */
export type SessionRequest =
  | {
      type: 'exec'
      vms: VmSelection
      command: Command
      env?: Record<string, string>
      cwd?: string
      /** The caller will send `stdin` frames; without it the commands read an empty input. */
      stdin?: boolean
      /** Per VM, from its start; the command is killed and the VM answers with a problem of code `timeout`. */
      timeoutMs?: number
    }
  | { /** What the guest wrote to its serial line; `follow` goes on with what comes. */ type: 'logs'; vms: VmSelection; follow?: boolean }
  | { /** The guest's serial line, both ways; exactly one VM. */ type: 'console'; vms: VmSelection }
  | {
      /** Asks the guests' agents whether they live. A VM answers with `exit` 0, a silent one with a problem of code `timeout`, one that is still booting `not_ready`. */
      type: 'ping'
      vms: VmSelection
      /** Per VM. */
      timeoutMs: number
    }
  | { /** What happened lately; `follow` goes on with what happens. */ type: 'events'; follow?: boolean; /** Only of these ENVs. */ envs?: string[] }
  | { /** Who did what, the last so many; for admins. */ type: 'audit'; follow?: boolean; last?: number }
  | { /** Reads settings that can change in life again, on every host; for admins. */ type: 'reload' }
  | { /** Checks machine, data and leaks on every host; `fix` mends what can be mended without harm. For admins. */ type: 'doctor'; fix?: boolean }
  | { /** Builds a recipe on every host that has it, or on those named. */ type: 'build'; image: string }

/** A guest command's end: its status, or the name of the signal that killed it. */
export type Exit = { code: number; signal?: never } | { signal: string; code?: never }

/** What a session says. `begin` comes once per VM and first; `exit` or `problem` ends a VM; the stream ends after the last. */
export type SessionFrame =
  | { type: 'begin'; vm: string; image: string; address?: string }
  | { type: 'stdout' | 'stderr'; vm: string; data: Uint8Array }
  | ({ type: 'exit'; vm: string } & Exit)
  | { type: 'problem'; vm?: string; problem: Problem }
  | { /** A line for people while something long works. */ type: 'note'; host?: string; text: string }
  | { type: 'leak'; host: string; leak: Leak; /** It was taken away. */ fixed?: boolean }
  | { type: 'finding'; host: string; finding: Finding }
  | { type: 'event'; event: CloudEvent }
  | { type: 'audit'; entry: AuditEntry }
  | { type: 'reloaded'; host: string; changed: string[]; needRestart: string[] }
  | { type: 'built'; host: string; image: string }

/** What a caller says. Without `vm` it is for every VM of the session. */
export type SessionInput =
  | { type: 'stdin'; vm?: string; data: Uint8Array }
  | { type: 'eof'; vm?: string }
  | { type: 'signal'; vm?: string; signal: string }
  | { type: 'size'; vm?: string; columns: number; rows: number }

/** A thing on a host that belongs to a server and to no record of it. */
export interface Leak {
  kind: 'process' | 'tap' | 'bridge' | 'nft' | 'cgroup' | 'file' | 'mount'
  subject: string
  /** What says that it is ours, and that nothing owns it. */
  why: string
}

/** What a check of a host found. */
export interface Finding {
  /** What was looked at: `kvm`, `cgroups`, `space`, `ports`, `clock`, `data`. */
  check: string
  /** `bad`: something does not work; `poor`: it works less well than it could. */
  state: 'good' | 'poor' | 'bad'
  message: string
  remedy?: string
  /** It was mended by this session. */
  fixed?: boolean
}

/** Something that happened in a cloud. */
export interface CloudEvent {
  time: string
  /** What it is about: `env/demo`, `vm/demo.3`, `host/one`. */
  subject: string
  owner?: string
  /** `created`, `ready`, `failed`, `changed`, `removing`, `removed`, `online`, …: a word for programs. */
  event: string
  /** A line for people. */
  message: string
}

/** Who did what. */
export interface AuditEntry {
  time: string
  user: string
  /** The token's name, never the token. */
  token?: string
  /** Id of the request, as in the log. */
  request?: string
  /** `put env`, `remove env`, `open exec`. */
  action: string
  subject: string
  /** `ok`, or the code it was refused with. */
  result: string
}

/** An open session. Disposing it ends what still runs in the guests. Browser-safe. */
export interface Session extends AsyncDisposable {
  readonly output: ReadableStream<SessionFrame>
  readonly input: WritableStream<SessionInput>
}

/** A VM a session is to reach, found by the cloud. */
export interface Target {
  id: string
  /** What people call it: `demo.3`. */
  vm: string
  image: string
  engine: string
  address?: string
}

/** A host as the cloud reaches it: sessions for VMs it runs, or for itself where a request names none. */
export interface Peer {
  open(request: SessionRequest, targets: Target[], call?: Call): Promise<Session>
}

/** What a frame weighs while nobody has read it. */
export const frameSize = (frame: SessionFrame): number => 100 + ('data' in frame ? frame.data.length : 0)

/** How much a session may hold unread before its writers wait. */
export const unreadLimitBytes = 1 << 20
