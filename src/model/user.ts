/** Who is calling, as far as a Cloud cares. Tokens and passwords never come this far. */
export interface User {
  name: string
  role: 'admin' | 'user'
}
