import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { readTextNow, writeWhole } from '../base/files.ts'
import { fingerprintOf } from '../base/fingerprint.ts'
import type { World } from '../base/world.ts'
import { fail, reasonOf } from '../model/errors.ts'
import { selfSigned } from './certificate-der.ts'

/** Where a server's certificate comes from. */
export type TlsSettings = { mode: 'off' } | { mode: 'own' } | { mode: 'given'; certPath: string; keyPath: string }

/** What a server shows and proves. */
export interface Certificate {
  /** PEM, others of its chain after it. */
  cert: string
  key: string
  /** Of its key: what clients pin. */
  fingerprint: string
  /** When it ends, in milliseconds since 1970. */
  ends: number
}

const dayMs = 86_400_000
/** Some systems take no certificate of more than 825 days: https://support.apple.com/en-us/103769 */
const lifeMs = 800 * dayMs
const renewBeforeMs = 100 * dayMs

/**
 * The certificate a server makes for itself. Its key is made once and kept, readable by its user alone; the certificate is made anew, with the same
 * key, when it ends within 100 days or lacks one of the addresses: what clients have pinned holds.
 */
export function ownCertificate(dataDir: string, { addresses, world }: { addresses: readonly string[]; world: World }): Certificate {
  const dir = join(dataDir, 'tls')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const key = ownKey(join(dir, 'key.pem'))
  const path = join(dir, 'cert.pem')
  const wanted = addresses.filter(isOne)
  const kept = readCertificate(readTextNow(path))
  const holds = kept?.checkPrivateKey(key) && kept.validToDate.getTime() - world.now() > renewBeforeMs && kept.validFromDate.getTime() <= world.now() && wanted.every((name) => kept.checkHost(name) ?? kept.checkIP(name))
  if (!holds) {
    const names = [...new Set([...wanted, 'localhost', hostname().toLowerCase(), ...machineAddresses()])]
    const from = world.now() - dayMs // Clocks differ.
    // Positive, and not 0: the first byte is between 64 and 127.
    const serial = world.random(16)
    serial[0] = (serial[0] ?? 0) & 0x3f | 0x40
    writeWhole(path, selfSigned({ key, names, from, to: world.now() + lifeMs, serial }), { mode: 0o644, durable: true })
  }
  return certificateOf(readFileSync(path, 'utf8'), key.export({ type: 'pkcs8', format: 'pem' }).toString())
}

/** A certificate somebody made for the server, and the key of its own; refuses what does not belong together or what others may read. */
export function givenCertificate(certPath: string, keyPath: string): Certificate {
  const about = { subject: 'server' }
  const [cert, key] = [readGiven('--tls-cert', certPath), readGiven('--tls-key', keyPath)]
  if ((statSync(keyPath).mode & 0o007) !== 0) fail('invalid', `everybody on this machine may read the key ${keyPath}`, { ...about, remedy: `chmod 600 ${keyPath}, and let a new one be made if others may have read it` })
  const words = readCertificate(cert) ?? fail('invalid', `${certPath} is no certificate in PEM`, { ...about, remedy: 'give --tls-cert the certificate, those of its chain after it' })
  let parsed: KeyObject
  try {
    parsed = createPrivateKey(key)
  } catch {
    fail('invalid', `${keyPath} is no private key in PEM without a passphrase`, about)
  }
  if (!words.checkPrivateKey(parsed)) fail('invalid', `the key ${keyPath} is not that of the certificate ${certPath}`, { ...about, remedy: 'the file of the certificate begins with that of the server' })
  return certificateOf(cert, key)
}

/** The certificate these settings ask for; undefined without TLS. */
export function certificateFor(settings: { tls: TlsSettings; dataDir: string; address: string; publicAddress: string }, world: World): Certificate | undefined {
  const { tls, dataDir, address, publicAddress } = settings
  if (tls.mode === 'off') return undefined
  return tls.mode === 'given' ? givenCertificate(tls.certPath, tls.keyPath) : ownCertificate(dataDir, { addresses: [publicAddress, address], world })
}

/** The fingerprint such a server has, as far as it can be known without making anything. */
export function fingerprintFor({ tls, dataDir }: { tls: TlsSettings; dataDir: string }): string | undefined {
  if (tls.mode === 'off') return undefined
  const cert = readCertificate(readTextNow(tls.mode === 'given' ? tls.certPath : join(dataDir, 'tls', 'cert.pem')))
  return cert && keyFingerprint(cert)
}

function ownKey(path: string): KeyObject {
  if (readTextNow(path) === undefined) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    writeWhole(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, durable: true })
  }
  chmodSync(path, 0o600)
  try {
    return createPrivateKey(readFileSync(path))
  } catch (fault) {
    // Never replaced silently: every client that has pinned it would be locked out.
    fail('failed', `${path} is no private key: ${reasonOf(fault)}`, { subject: 'server', remedy: 'bring it back from a copy; or remove it, and clients must be told the new fingerprint' })
  }
}

const certificateOf = (cert: string, key: string): Certificate => {
  const words = new X509Certificate(cert)
  return { cert, key, fingerprint: keyFingerprint(words), ends: words.validToDate.getTime() }
}

const keyFingerprint = (cert: X509Certificate) => fingerprintOf(cert.publicKey.export({ type: 'spki', format: 'der' }))

function readCertificate(pem: string | undefined): X509Certificate | undefined {
  try {
    return pem === undefined ? undefined : new X509Certificate(pem)
  } catch {
    return undefined
  }
}

function readGiven(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (fault) {
    fail('invalid', `${flag} ${path} cannot be read: ${reasonOf(fault)}`, { subject: 'server' })
  }
}

const isOne = (address: string) => address !== '0.0.0.0' && address !== '::'

const machineAddresses = () => Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)).filter((address) => !address.startsWith('fe80:'))
