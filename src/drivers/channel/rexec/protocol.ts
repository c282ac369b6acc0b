/** Numbers of the rexec protocol. docs/rexec-protocol.md explains them; guest/agent/protocol.h says the same to the guest. */
export const protocolVersion = 2

/** A frame is `u32 length, u8 type, u32 id, payload, trailer`; all numbers little-endian. */
export const headerBytes = 9
export const trailerBytes = 8

/** Payload to the guest: with it a HELLO and its filler are one page, and a virtio port hands out single pages. */
export const askLimitBytes = 4000
/** Payload to the host: a virtio port takes 32 KiB at once. */
export const answerLimitBytes = 32_000

/**
 * Zeros before a HELLO: enough to complete any frame that was cut, and any HELLO, and then still more than a frame can hold (4017), by which
 * the guest knows that they are filler. Before an AWAKE there are as many as a frame to the host can have.
 */
export const fillerBytes = 4060

/** No byte of a nonce is zero; the last eight of the host's are the trailer of every frame until the host is proven. */
export const nonceBytes = 16

/** The body of an EXEC over all its frames. */
export const requestLimitBytes = 16 << 20

/** What may be on its way unanswered: input of a command to the guest, and each of its output streams to the host. */
export const windowBytes = 256 << 10

/** Each starts with a length that no frame can have. */
const magic = (word: string) => Buffer.from(`\xff\xfftt-rexec ${word}`, 'latin1')
export const helloMagic = magic('hello')
export const agreeMagic = magic('agree')
export const awakeMagic = magic('awake')

/** From the host. */
export const ask = { exec: 0x01, stdin: 0x02, eof: 0x03, credit: 0x04, signal: 0x05, kill: 0x06, ping: 0x07, halt: 0x08, bye: 0x09, proof: 0x0a, key: 0x0b, size: 0x0c, identify: 0x0d, file: 0x10 } as const

/** From the guest. */
export const answer = { facts: 0x81, stdout: 0x82, stderr: 0x83, exit: 0x84, error: 0x85, taken: 0x86, pong: 0x87, halted: 0x88, challenge: 0x89, beat: 0x8a, identified: 0x8b } as const

export const identifyMore = 1
export const identifyField = { hostname: 0x68, address: 0x61, gateway: 0x67, mtu: 0x6d, clock: 0x63, entropy: 0x72, keys: 0x4b, key: 0x6b } as const
export const execFlag = { more: 1, noStdin: 2 } as const
export const execField = { arg: 0x61, shell: 0x73, env: 0x65, cwd: 0x64, script: 0x70, terminal: 0x74 } as const
