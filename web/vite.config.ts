import { defineConfig, type Plugin } from 'vitest/config';

// A saved session must open without a server, so the built page has to work from file://, where
// browsers refuse module scripts: one classic script, deferred, and relative addresses.
function classicScript(): Plugin {
  return {
    name: 'classic-script',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler: (html) =>
        html
          .replace(/<script type="module" crossorigin/g, '<script defer')
          .replace(/<link rel="stylesheet" crossorigin/g, '<link rel="stylesheet"'),
    },
  };
}

// Where `npm run dev` finds a server: the mock, unless GUMBELSPEC_SERVER says otherwise.
const server = process.env.GUMBELSPEC_SERVER ?? 'http://127.0.0.1:8090';

export default defineConfig({
  base: './',
  plugins: [classicScript()],
  esbuild: { legalComments: 'none' },
  server: { host: '127.0.0.1', proxy: { '/v1': server, '/metrics': server, '/health': server } },
  build: {
    target: 'es2022',
    modulePreload: false,
    cssCodeSplit: false, // else the script would write the style into the page, which the policy forbids
    assetsInlineLimit: 0,
    // Fixed names: the server's table of files lists them, and a rebuild changes only contents.
    rollupOptions: {
      output: {
        format: 'iife',
        entryFileNames: 'app.js',
        assetFileNames: (asset) => (asset.names[0]?.endsWith('.css') ? 'app.css' : '[name][extname]'),
      },
    },
  },
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          poolOptions: { forks: { singleFork: true } },
        },
      },
    ],
  },
});
