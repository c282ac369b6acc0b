import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

/** A service manager as far as sd_notify(3) sees one: a datagram socket. Node has none in the file system, so it is a few lines of Python. */
const program = `
import array, json, os, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\\0' + name[1:] if name[0] == '@' else name)
print('here', flush=True)
while True:
    data, control, flags, sender = s.recvmsg(65536, socket.CMSG_SPACE(64))
    fds = array.array('i')
    for level, kind, bytes_ in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS: fds.frombytes(bytes_[:len(bytes_) - len(bytes_) % fds.itemsize])
    print(json.dumps(data.decode() + (' with a descriptor' if fds else '')), flush=True)
    for fd in fds: os.close(fd)
`

const tried = spawnSync('python3', ['-c', 'import socket'], { encoding: 'utf8' })
/** Why there can be no manager here; false if there can. */
export const noManager: string | false = tried.status === 0 ? false : `it takes python3 to listen on a datagram socket: ${tried.error?.message ?? tried.stderr.trim()}`

export interface Manager extends AsyncDisposable {
  readonly messages: string[]
  until(holds: (messages: string[]) => boolean): Promise<void>
}

export async function manager(socket: string): Promise<Manager> {
  const child = spawn('python3', ['-c', program, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  const messages: string[] = []
  let text = ''
  let wake = () => {}
  const here = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      const lines = (text + piece).split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        if (line === 'here') resolve()
        else messages.push(JSON.parse(line) as string)
      }
      wake()
    })
  })
  await here
  return {
    messages,
    async until(holds) {
      const end = Date.now() + 20_000
      while (!holds(messages)) {
        if (Date.now() > end) throw new Error(`the manager has heard ${JSON.stringify(messages)}`)
        await Promise.race([new Promise<void>((resolve) => (wake = resolve)), new Promise((resolve) => setTimeout(resolve, 200))])
      }
    },
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'close')
      child.kill('SIGKILL')
      await gone
    },
  }
}
