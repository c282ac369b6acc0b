import { paced } from '../base/paced.ts'
import type { World } from '../base/world.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import { fail, problemOf } from '../model/errors.ts'
import { frameSize, type Peer, type Session, type SessionFrame, type SessionRequest, unreadLimitBytes } from '../model/session.ts'
import type { Guests } from './guests.ts'
import { pinger } from './ping.ts'
import { serveExec } from './session-exec.ts'
import { type HostParts, serveHost, serveImport } from './session-host.ts'
import { eachVm, inputOf, type Scene, sceneOf } from './session-scene.ts'
import { serveConsole, serveLogs, serveScreen } from './session-serial.ts'
import { serveGet } from './transfer-get.ts'
import { servePush } from './transfer-push.ts'
import type { HostViews } from './views.ts'

export interface SessionOptions extends HostParts {
  engines: ReadonlyMap<string, Engine>
  guests: Guests
  views: HostViews
  world: World
}

/** Sessions of this host: commands, serial lines, screens, files, what the doctor finds, images and settings that change. */
export function hostSessions(options: SessionOptions): Peer {
  return {
    async open(request, targets, call) {
      const stop = new AbortController()
      const out = paced<SessionFrame>({ sizeOf: frameSize, limitBytes: unreadLimitBytes, onCancel: () => stop.abort() })
      const signal = call?.signal ? AbortSignal.any([call.signal, stop.signal]) : stop.signal
      const scene = sceneOf(targets, out, signal)
      signal.addEventListener('abort', scene.end, { once: true })
      if (signal.aborted) scene.end()
      const work = served(options, request, scene).finally(() => {
        signal.removeEventListener('abort', scene.end)
        scene.end()
        out.end()
      })
      return {
        output: out.output,
        input: inputOf(scene, { asStory: request.type === 'push' || request.type === 'import' }),
        async [Symbol.asyncDispose]() {
          stop.abort()
          await work
        },
      } satisfies Session
    },
  }
}

/** Never rejects: what goes wrong is a frame. */
async function served(options: SessionOptions, request: SessionRequest, scene: Scene): Promise<void> {
  try {
    await serve(options, request, scene)
  } catch (thrown) {
    scene.out.tell({ type: 'problem', problem: problemOf(thrown) })
  }
}

async function serve(options: SessionOptions, request: SessionRequest, scene: Scene): Promise<void> {
  switch (request.type) {
    case 'exec':
      return serveExec(options, request, scene)
    case 'logs':
      return serveLogs(options.engines, request, scene)
    case 'console':
      return serveConsole(options.engines, request, scene)
    case 'screen':
      return serveScreen(options.engines, scene)
    case 'push':
      return servePush(options, request, scene)
    case 'get':
      return serveGet(options, request, scene)
    case 'ping': {
      const ping = pinger(options)
      return eachVm(scene, async ({ target, out, signal }) => {
        await ping(target, request.timeoutMs, signal)
        out.tell({ type: 'exit', vm: target.vm, code: 0 })
      })
    }
    case 'import':
      return serveImport(options, request, scene)
    case 'doctor':
    case 'reload':
    case 'build':
      return serveHost(options, request, scene)
    case 'events':
    case 'audit':
      fail('unsupported', `this host has no sessions of type ${request.type}`)
  }
}
