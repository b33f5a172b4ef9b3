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
    // a SQL template, a pattern, a diagram and a test's name stay on one line
    files: ['**/*.{ts,tsx}'],
    ignores: ['relay-client/src/schema.ts'],
    rules: {
      '@stylistic/max-len': ['error', {
        code: 120,
        ignorePattern: '^ *(await t\\.)?(test|suite|promise)\\(|^ \\*   |^ \\* \\|',
        ignoreRegExpLiterals: true,
        ignoreTemplateLiterals: true,
        ignoreUrls: true
      }]
    }
  },
  {
    // a longer file has several thoughts, or is a table
    files: ['**/*.{ts,tsx}'],
    ignores: [
      '**/test/**', '**/*.test.ts', 'deploy/monitoring/alerts.ts', 'deploy/monitoring/dashboards.ts',
      'relay-client/src/schema.ts'
    ],
    rules: { 'max-lines': ['error', 350] }
  }
]
