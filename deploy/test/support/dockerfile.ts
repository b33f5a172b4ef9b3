/** The Dockerfile as data: its stages, and what each target is made of. */
import { readFileSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { fileURLToPath } from 'node:url'

import { DockerfileParser, From, JSONInstruction, ModifiableInstruction } from 'dockerfile-ast'

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
/** An image by its tag, for people, and by the digest of what it was when it was chosen, for engines. */
export const PINNED = /^[\w./-]+:(v?\d+\.\d+\.\d+(-[\w-]+)?|bookworm-\d{8}-slim)@sha256:[0-9a-f]{64}$/
export const dockerfileText = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')

export interface Step {
  /** in capitals, e.g. `COPY` */
  readonly keyword: string
  /** e.g. `{ from: 'node' }` */
  readonly flags: Readonly<Record<string, string | null>>
  /** what stands behind the keyword and its flags, word by word; of the JSON form, its strings */
  readonly args: readonly string[]
}

export interface Stage {
  readonly name: string
  /** another stage, or an image with its tag */
  readonly base: string
  readonly steps: readonly Step[]
}

export const stages: ReadonlyMap<string, Stage> = readStages()

function readStages (): Map<string, Stage> {
  const found = new Map<string, Stage & { steps: Step[] }>()
  const dockerfile = DockerfileParser.parse(dockerfileText)
  const presets = new Map(
    dockerfile.getInitialARGs().map(it => [it.getProperty()!.getName(), it.getProperty()!.getValue()!])
  )
  let stage: Stage & { steps: Step[] } | undefined
  for (const instruction of dockerfile.getInstructions()) {
    if (instruction instanceof From) {
      const base = instruction.getImage()!.replace(/^\$\{(\w+)\}$/, (_, name) => presets.get(name)!)
      stage = { name: instruction.getBuildStage()!, base, steps: [] }
      found.set(stage.name, stage)
      continue
    }
    if (stage === undefined) continue // ARG before the first FROM
    const strings = instruction instanceof JSONInstruction ? instruction.getJSONStrings() : []
    stage.steps.push({
      keyword: instruction.getKeyword(),
      flags: instruction instanceof ModifiableInstruction
        ? Object.fromEntries(instruction.getFlags().map(it => [it.getName(), it.getValue()]))
        : {},
      args: strings.length > 0
        ? strings.map(it => it.getJSONValue())
        : instruction.getArguments().map(it => it.getValue())
    })
  }
  return found
}

/** All steps of a stage, those of the stages it builds upon first; of other stages only what COPY names. */
export function stepsOf (name: string): Step[] {
  const stage = stages.get(name)
  return stage ? [...stepsOf(stage.base), ...stage.steps] : []
}

/** The arguments of the last step of a kind in a target: the one that holds. */
export function lastOf (target: string, keyword: string): readonly string[] | undefined {
  return stepsOf(target).findLast(it => it.keyword === keyword)?.args
}

/** The variables that the image of a target sets. */
export function environmentOf (target: string): Record<string, string> {
  const pairs = stepsOf(target).filter(it => it.keyword === 'ENV').flatMap(it => it.args)
  return Object.fromEntries(pairs.map(pair => pair.split(/=(.*)/s).slice(0, 2)))
}

/** Targets: the stages that nothing else is built upon or copied from. */
export function targets (): string[] {
  const used = new Set([...stages.values()].flatMap(it => [it.base, ...it.steps.map(step => step.flags.from)]))
  return [...stages.keys()].filter(it => !used.has(it))
}

/**
 * Whether a file or folder reaches the engine at all.
 * @param source relative to the root
 */
export function isInContext (source: string): boolean {
  const patterns = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n').filter(it => /^[^#]/.test(it))
  const [everything, ...exceptions] = patterns
  if (everything !== '*' || !exceptions.every(it => it.startsWith('!'))) {
    throw new Error('.dockerignore is no longer a list of exceptions from *')
  }
  return exceptions.map(it => it.slice(1)).some(it => matchesGlob(source, it) || matchesGlob(source, `${it}/**`))
}
