import { defineConfig } from 'vite'

/** The API that `npm run dev` asks. */
const target = process.env.RELAY_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the page's policy takes no data: addresses
    modulePreload: { polyfill: false },
    license: { fileName: 'licences.md' }
  },
  server: { proxy: { '/api': target, '/docs': target, '/openapi.json': target, '/readyz': target } }
})
