import neostandard from 'neostandard'
import regexp from 'eslint-plugin-regexp'

export default [
  ...neostandard({
    ts: true,
    ignores: ['**/.relay/**', '**/node_modules/**', 'relay-client/dist/**', 'relay-dashboard/dist/**', 'bench/results/**']
  }),
  {
    // a pattern whose time grows faster than its text stops a program at the text of a stranger's choice
    plugins: { regexp },
    rules: {
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential', ignoreSticky: true }]
    }
  },
  {
    // the folders whose lines are already wrapped; a SQL template, a pattern, a diagram and a test's name stay on one line
    files: [
      'bench/**', 'docs/**', 'faults/**', 'hostile/**', 'relay-cli/**', 'relay-common/**', 'relay-issuer/**',
      'relay-processor/**', 'relay-simulator/**', 'relay-stack/**', 'test-support/**'
    ].map(folder => `${folder}/*.ts`),
    ignores: ['hostile/src/cases/**'],
    rules: {
      '@stylistic/max-len': ['error', {
        code: 120,
        ignorePattern: '^ *(await t\\.)?(test|suite|promise)\\(|^ \\*   |^ \\* \\|',
        ignoreRegExpLiterals: true,
        ignoreTemplateLiterals: true,
        ignoreUrls: true
      }]
    }
  }
]
