import type { Call } from './call.ts'
import type { Problem } from './errors.ts'
import type { Arch, Way } from './image.ts'

/** Which VMs of which ENVs: all of them, or those that match any of the filters. */
export interface VmSelection {
  envs: string[]
  /** Image prefixes as in `env add`. */
  prefixes?: string[]
  indices?: number[]
}

/** A command for a guest: a program with its arguments, text for its shell, or a whole program that is sent along, whose first line may name what runs it (`#!`); without such a line the shell does. */
export type Command =
  | { argv: string[]; shell?: never; script?: never; args?: never }
  | { shell: string; argv?: never; script?: never; args?: never }
  | { script: string; args?: string[]; argv?: never; shell?: never }

/** A terminal's size in characters. */
export interface TerminalSize {
  columns: number
  rows: number
}

/** A thing that is pushed or fetched. */
export interface FileEntry {
  /** Where it is below what was named, with `/` between; empty for that itself. Never absolute, and no part is `..`. */
  path: string
  type: 'file' | 'directory' | 'link'
  /** Permission bits; of a link they say nothing. */
  mode: number
  /** Of a file. */
  sizeBytes?: number
  /** Of a file's bytes, in hexadecimal. Pushed files say it beforehand, fetched ones at their end. */
  sha256?: string
  /** Of a link. */
  target?: string
}

/** What a caller has of a file already: its first bytes, and their sha256. */
export interface Part {
  bytes: number
  sha256: string
}

/** An image as its importer describes it; what is left out is found out or has the defaults of an image file. */
export interface ImageOrder {
  name: string
  /** Of the bytes as they are sent or fetched. */
  sha256?: string
  format?: 'qcow2' | 'raw' | 'vmdk' | 'vdi'
  /** Fetched by the hosts from there; otherwise its bytes come as input. */
  url?: string
  /** Of what comes as input. */
  sizeBytes?: number
  memo?: string
  arch?: Arch
  ways?: Way[]
  features?: string[]
  cpu?: number
  memMb?: number
  diskMb?: number
  ports?: number[]
  /** Takes the place of an image of that name. */
  replace?: boolean
}

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
      /** It runs in a terminal of its own, of this size until a `size` frame says otherwise: all its output is `stdout`, and input is what is typed. */
      tty?: TerminalSize & { /** `TERM`, by default `xterm-256color`. */ term?: string }
      /** The way into the guests; by default the first of each image's that answers. */
      via?: Way
      /** So many VMs of a host at the same time, the rest as these end. */
      atOnce?: number
      /** Per VM, from its start; the command is killed and the VM answers with a problem of code `timeout`. */
      timeoutMs?: number
    }
  | { /** What the guest wrote to its serial line; `follow` goes on with what comes. */ type: 'logs'; vms: VmSelection; follow?: boolean }
  | { /** The guest's serial line, both ways; exactly one VM. */ type: 'console'; vms: VmSelection; /** So much of what it wrote before comes first. */ scrollbackBytes?: number }
  | { /** The guest's screen, keyboard and mouse as the RFB protocol (VNC) has them: bytes both ways; exactly one VM. */ type: 'screen'; vms: VmSelection }
  | {
      /**
       * Sends files and directories to guests. The caller sends an `entry` for each, directories before what is in them; each VM answers a file with `wants`, and its bytes follow from
       * the `from` that the caller chooses: the lowest that is wanted, or 0 without waiting for small ones. What a VM has already it passes over. `eof` ends the whole.
       * A file appears under its name only when it is whole and its sha256 is right; one that broke off goes on from where it was when it is sent again.
       */
      type: 'push'
      vms: VmSelection
      /** Where it is to be in the guest: an absolute path of the thing itself. */
      path: string
      /** Takes the place of what is there; without it that is refused with `exists`, unless it is the same. */
      overwrite?: boolean
      via?: Way
      /** A VM that gets on by nothing for so long ends with a problem of code `timeout`. */
      timeoutMs?: number
      atOnce?: number
    }
  | {
      /** Fetches a file, or a directory with everything in it: for each an `entry` frame, a file's bytes as `stdout`, and `entry-end`. */
      type: 'get'
      vms: VmSelection
      path: string
      /** By VM, of a single file: what the caller has of it. It goes on from there if the guest's file begins so. */
      have?: Record<string, Part>
      via?: Way
      timeoutMs?: number
      atOnce?: number
    }
  | { /** Makes an image of a file, checked and converted, on the hosts named or on that which answers. For admins. */ type: 'import'; image: ImageOrder; hosts?: string[] }
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
  | { /** Of a `get`: what comes next of this VM; the bytes of a file begin at `offset`. */ type: 'entry'; vm: string; entry: FileEntry; offset?: number }
  | { /** The file is whole: its sha256, as the guest has read it. */ type: 'entry-end'; vm: string; sha256: string }
  | { /** Of a `push` or `import`: the caller's last entry is wanted from this byte on; all of its bytes if it is there already. */ type: 'wants'; vm?: string; host?: string; offset: number }
  | { /** How far something long is. */ type: 'progress'; vm?: string; host?: string; what: string; doneBytes: number; totalBytes?: number }
  | { /** A line for people while something long works. */ type: 'note'; vm?: string; host?: string; text: string }
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
  | { /** Of a `push`: what comes next. */ type: 'entry'; entry: FileEntry }
  | { /** The `stdin` frames that follow hold the entry's bytes from here on. */ type: 'from'; offset: number }

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
