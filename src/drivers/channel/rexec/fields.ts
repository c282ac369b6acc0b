/** Fields as they stand in a request: `u8 tag, u32 length, bytes, 0`, after so many bytes of room. */
export function fieldsFrom(room: number, fields: readonly (readonly [tag: number, text: string])[]): Buffer {
  const lengths = fields.map(([, text]) => Buffer.byteLength(text))
  const body = Buffer.alloc(lengths.reduce((sum, length) => sum + length + 6, room))
  let at = room
  fields.forEach(([tag, text], index) => {
    const length = lengths[index] as number
    body[at] = tag
    body.writeUInt32LE(length, at + 1)
    body.write(text, at + 5)
    at += length + 6
  })
  return body
}

/** A body in pieces for frames, each after a byte of flags: `more` while more follows, `last` in the last. */
export function piecesOf(body: Buffer, most: number, { more, last }: { more: number; last: number }): Buffer[] {
  const pieces = []
  for (let at = 0; at === 0 || at < body.length; at += most - 1) {
    const piece = body.subarray(at, at + most - 1)
    pieces.push(Buffer.concat([Buffer.of(at + piece.length < body.length ? more : last), piece]))
  }
  return pieces
}
