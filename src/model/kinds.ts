import type { EnvAsked, EnvSpec, EnvStatus } from './env.ts'
import type { HostSpec, HostStatus } from './host.ts'
import type { ImageSpec, ImageStatus } from './image.ts'
import type { TaskSpec, TaskStatus } from './task.ts'
import type { TokenSpec, TokenStatus, UserAsked, UserSpec, UserStatus } from './user.ts'
import type { VmSpec, VmStatus } from './vm.ts'

/** Every kind of resource: what is written (`asked`), what is kept (`spec`) and what is (`status`). A new kind is a line here and a file of its own. */
export interface Kinds {
  env: { asked: EnvAsked; spec: EnvSpec; status: EnvStatus }
  vm: { asked: VmSpec; spec: VmSpec; status: VmStatus }
  host: { asked: HostSpec; spec: HostSpec; status: HostStatus }
  image: { asked: ImageSpec; spec: ImageSpec; status: ImageStatus }
  user: { asked: UserAsked; spec: UserSpec; status: UserStatus }
  token: { asked: TokenSpec; spec: TokenSpec; status: TokenStatus }
  task: { asked: TaskSpec; spec: TaskSpec; status: TaskStatus }
}

export type Kind = keyof Kinds
export const kinds = ['env', 'vm', 'host', 'image', 'task', 'user', 'token'] as const satisfies readonly Kind[]

export type Asked<K extends Kind> = Kinds[K]['asked']
export type Spec<K extends Kind> = Kinds[K]['spec']
export type Status<K extends Kind> = Kinds[K]['status']

/** A thing with a name: what was asked of it and what is. */
export interface Resource<K extends Kind> {
  kind: K
  name: string
  /** Given at creation and never used again, also by a later resource of the same name. */
  uid: string
  /** Opaque; changes when the spec does, and only then. */
  revision: string
  owner: string
  created: string
  /** When its removal was asked for; it is gone once everything it held is. */
  removing?: string
  spec: Spec<K>
  status?: Status<K>
  /** Another's, of which its caller may know the name, the owner, when it was created and ends, and how many VMs it has; what else is here says nothing. */
  reduced?: true
}
