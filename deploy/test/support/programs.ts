/** The programs that images are made of, with the settings that each takes. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { TObject } from 'typebox'

import { apiSettings, readApiConfig } from '../../../relay-api/src/config.ts'
import { processorSettings, readProcessorConfig } from '../../../relay-processor/src/config.ts'
import { readSimulatorConfig, simulatorSettings } from '../../../relay-simulator/src/config.ts'
import { ROOT } from './dockerfile.ts'

export interface Program {
  readonly settings: TObject
  /** @throws RelayError where the program would refuse its settings */
  readonly readConfig: (environment: NodeJS.ProcessEnv) => unknown
}

/** By target and service, which have one name. */
export const programs: Readonly<Record<string, Program>> = {
  simulator: { settings: simulatorSettings, readConfig: environment => readSimulatorConfig(environment, []) },
  processor: { settings: processorSettings, readConfig: readProcessorConfig },
  api: { settings: apiSettings, readConfig: readApiConfig }
}

export const rootManifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly version: string
  readonly workspaces: readonly string[]
  readonly optionalDependencies: Readonly<Record<string, string>>
}

/** The workspaces that hold a program which runs by itself, without `relay-`. */
export function programsInWorkspaces (): string[] {
  return rootManifest.workspaces
    .filter(it => existsSync(join(ROOT, it, 'src/main.ts')))
    .filter(it => readFileSync(join(ROOT, it, 'src/main.ts'), 'utf8').includes('await runProgram('))
    .filter(it => it !== 'relay-issuer') // for one machine, and no image: sites have a provider
    .map(it => it.replace(/^relay-/, ''))
}
