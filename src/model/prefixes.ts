/** Whether the text is an IPv4 address or a prefix without bits beyond its length: `10.0.0.0/8`. */
export function isPrefix(text: string): boolean {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text)?.slice(1)
  if (!parts) return false
  const [length, ...bytes] = [parts[4] === undefined ? 32 : Number(parts[4]), ...parts.slice(0, 4).map(Number)]
  if (length > 32 || bytes.some((byte) => byte > 255) || parts.slice(0, 4).some((part) => part !== String(Number(part)))) return false
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0) % 2 ** (32 - length) === 0
}
