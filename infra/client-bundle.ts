import { readFile } from 'node:fs/promises'

const ROOT = new URL('..', import.meta.url).pathname

/** The client as one module for browsers, Workers and Node. Throws where it would need anything of Node. */
export async function bundleClient(): Promise<string> {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['infra/client/client.ts'],
    ...{ bundle: true, minify: true, format: 'esm', platform: 'neutral', target: 'es2022' },
    ...{ mainFields: ['module', 'main'], write: false, logLevel: 'error', legalComments: 'none' },
  })
  return outputFiles[0]!.text
}

/** The same; in the package it was made when that was built. */
export const clientBundle = () =>
  readFile(new URL('./client.js', import.meta.url), 'utf8').catch(() => bundleClient())
