/** Lines of a body, without their ends. A line longer than `most` characters ends it with what `endless` makes. */
export async function* linesOf(body: AsyncIterable<Uint8Array>, { most, endless }: { most: number; endless: () => Error }): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let rest = ''
  for await (const piece of body) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > most) throw endless()
    yield* lines
  }
  if (rest !== '') yield rest
}

/** One event of a stream of server-sent events, which is UTF-8 text by fields and empty lines: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export interface ServerEvent {
  event: string
  data: string
}

export async function* eventsOf(lines: AsyncIterable<string>): AsyncGenerator<ServerEvent> {
  let event = ''
  let data: string[] = []
  for await (const line of lines) {
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line.replace(/\r$/, '')) ?? []
    if (field === 'event') event = value
    else if (field === 'data') data.push(value)
    else if (line.trim() === '' && data.length > 0) {
      yield { event, data: data.join('\n') }
      event = ''
      data = []
    }
  }
}
