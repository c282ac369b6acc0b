import { type ErrorCode, TtError } from '../../../model/errors.ts'

/** What a step of the agent's failed with, by the errno alone and, where that says more, with the step. */
const refusals: Record<string, [code: ErrorCode, message: string]> = {
  ENOENT: ['not_found', 'there is no such file or directory in the guest'],
  'ENOENT directory': ['not_found', 'the directory it should be in is not there'],
  ENOTDIR: ['invalid', 'it is not a directory, or something on the way to it is none'],
  EISDIR: ['invalid', 'it is a directory'],
  'EINVAL kind': ['invalid', 'it is neither a file, a directory nor a link'],
  'EINVAL name': ['invalid', 'the path does not end in a name'],
  'EINVAL offset': ['invalid', 'the file is shorter than that offset'],
  EINVAL: ['invalid', 'the guest cannot do that here'],
  ENAMETOOLONG: ['invalid', 'the name is longer than the guest allows'],
  ELOOP: ['invalid', 'the links on the way to it lead nowhere'],
  EEXIST: ['exists', 'something else is there already'],
  'EEXIST directory': ['exists', 'a directory is there, and is never overwritten'],
  EACCES: ['denied', 'the guest does not permit it'],
  EPERM: ['denied', 'the guest does not permit it'],
  EROFS: ['denied', 'the file system in the guest is mounted read-only'],
  ENOSPC: ['exhausted', 'the disk of the guest is full'],
  EDQUOT: ['exhausted', 'the quota in the guest is used up'],
  EFBIG: ['too_large', 'the file system in the guest takes no file of that size'],
  EBUSY: ['conflict', 'the same file is being written by somebody else'],
  'ESTALE offset': ['conflict', 'what was there of it is no more'],
  EBADMSG: ['failed', 'the bytes that arrived have another sha256; nothing is left of them'],
  'EBADMSG window': ['failed', 'bytes arrived that are not those that were sent; what came before them is kept'],
  'ENODATA size': ['failed', 'fewer bytes came than were announced'],
  'EMSGSIZE size': ['failed', 'more bytes came than were announced'],
  'ENODATA shrunk': ['failed', 'the file became shorter while it was read'],
  EIO: ['failed', 'the disk of the guest cannot be read or written there'],
}

const remedies: Partial<Record<string, string>> = {
  'EEXIST directory': 'take another path, or remove the directory in the guest',
  EEXIST: 'allow it to be overwritten, or take another path',
  ENOSPC: 'free space in the guest, or give it a larger disk',
  'ESTALE offset': 'send it again',
  EBUSY: 'wait until that is over',
  'EBADMSG window': 'send it again',
}

/** What `ENOENT open` (the errno and the step that failed) says of the path. */
export function filesRefusalOf(answer: Buffer, path: string): TtError {
  const [text = '', errno = ''] = /^(E[A-Z0-9]{1,20}) [a-z0-9]{1,20}$/.exec(answer.toString('latin1', 0, 64)) ?? []
  if (errno === '') return new TtError({ code: 'failed', message: 'the guest refused without a reason', subject: path })
  if (text.endsWith(' window') && refusals[text] === undefined) return new TtError({ code: 'unavailable', message: `the disk by which large files go cannot be used in the guest (${text})`, subject: path, remedy: 'do it again: it goes another way then' })
  const [code, message] = refusals[text] ?? refusals[errno] ?? ['failed' as const, 'the guest failed to do it']
  return new TtError({ code, message: `${message} (${text})`, subject: path, remedy: remedies[text] ?? remedies[errno] })
}
