import { rm } from 'node:fs/promises'

import type { Drill } from '../drill.ts'

/** Nobody knows the passwords of the programs any more, and all connections are gone. */
export const passwordsLost: Drill = {
  name: 'passwords-lost',
  title: 'passwords of the programs lost',
  async destroy ({ passwords, address, processors }) {
    await rm(passwords, { recursive: true })
    address.cut()
    for (const it of processors.all) await it.kill()
  },
  async recover ({ operator }) {
    await operator.follow('Passwords of programs lost')
  }
}
