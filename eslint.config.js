import neostandard from 'neostandard'

export default neostandard({
  ts: true,
  ignores: ['**/.relay/**', '**/node_modules/**', 'bench/results/**']
})
