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
  }
]
