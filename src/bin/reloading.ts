import { gate } from '../base/queue.ts'
import { changedKeys, type Settings } from '../base/settings.ts'
import { fail, reasonOf } from '../model/errors.ts'
import { serverSchema, type ServerSettings, settingsOf } from './server-settings.ts'

/** What a reload did: settings it took over, and settings that differ now and hold from the next start on. By their keys in the file. */
export interface Reloaded {
  changed: string[]
  needRestart: string[]
}

export interface LiveSettings {
  /** Those that hold at this moment. */
  readonly now: ServerSettings
  /** Reads the settings again and takes over those that are `live` in the schema. What is wrong in them is `invalid`, and then nothing changes. */
  reload(): Promise<Reloaded>
}

/** Settings that may change in life. `reread` gives what would hold after a start; `apply` is told when others are in force. */
export function liveSettings({ settings, reread, apply }: { settings: ServerSettings; reread: () => ServerSettings; apply: (now: ServerSettings) => Promise<void> }): LiveSettings {
  const turns = gate(1)
  let now = settings
  return {
    get now() {
      return now
    },
    reload: () =>
      turns.pass(async () => {
        const { settled: wanted } = reread()
        const { live, fixed } = changedKeys(serverSchema, now.settled, wanted)
        if (live.length > 0) {
          now = settingsWith(now.settled, wanted, live)
          await apply(now)
        }
        return { changed: live, needRestart: fixed }
      }),
  }
}

type Settled = Settings<typeof serverSchema>

/** The settings of before, but for these keys. */
function settingsWith(before: Settled, wanted: Settled, keys: readonly (keyof typeof serverSchema)[]): ServerSettings {
  const only = <T extends object>(from: T) => Object.fromEntries(keys.map((key) => [key, from[key as unknown as keyof T]])) as Partial<T>
  try {
    return settingsOf({ values: { ...before.values, ...only(wanted.values) }, origins: { ...before.origins, ...only(wanted.origins) } }, process.env)
  } catch (fault) {
    fail('invalid', reasonOf(fault), { subject: 'server', remedy: 'see `ttserver settings`' })
  }
}
