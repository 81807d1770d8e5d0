import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync, inflateRawSync } from 'node:zlib'
import { expect, onTestFinished, test, vi } from 'vitest'
import { table } from '../../functions/index.ts'
import { startApp, unique } from '../support/app.ts'
import { ADMIN_KEY, offline, startLambdaHub } from '../support/hub.ts'
import { softmax } from '../support/models.ts'
import { testRedisUrl } from '../support/redis.ts'

const root = new URL('../..', import.meta.url).pathname

// A bundle takes some seconds of a whole core.
vi.setConfig({ testTimeout: 60_000 })
const wrangler = 'wrangler/bin/wrangler.js'
const osls = 'osls/bin/serverless.js'
const MEBIBYTE = 1024 * 1024

/** Runs a package's command where nothing answers beyond this machine; what it forgets is left in `directory`. */
async function run(command: string, args: string[], directory: string, more: Record<string, string> = {}) {
  const nowhere = 'http://127.0.0.1:9'
  const away = { HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere, TMPDIR: directory }
  const env = { ...process.env, ...offline, ...away, ...more }
  const file = join(root, 'node_modules', command)
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file, ...args], {
    cwd: root,
    env,
    timeout: 60_000,
  })
  return stdout + stderr
}

interface Role {
  Policies: { PolicyDocument: { Statement: { Action: string[]; Resource: unknown[] }[] } }[]
  ManagedPolicyArns?: unknown[]
}

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hub-iac-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

test.each([
  ['', 1],
  ['staging', 1],
  ['production', 1],
  ['cache-only', 1],
  ['inference', 5],
])('wrangler.toml deploys the environment "%s" in less than %i MiB', async (environment, most) => {
  const directory = await temporary()
  const args = ['deploy', '--dry-run', '--env', environment, '--outdir', directory]
  const said = await run(wrangler, args, directory)
  expect(said).not.toMatch(/Processing wrangler.toml|Multiple environments/)
  const modules = readdirSync(directory).filter((file) => /\.(js|wasm)$/.test(file))
  expect(modules.length).toBe(environment === 'inference' ? 2 : 1)
  const sizes = modules.map((file) => gzipSync(readFileSync(join(directory, file))).length)
  const size = sizes.reduce((sum, size) => sum + size)
  console.log(`Worker ${environment}: ${Math.round(size / 1024)} KiB gzipped`)
  expect(size).toBeLessThan(most * MEBIBYTE)
})

test('serverless.yml packages one small file that serves, and asks for no rights but its own logs', async () => {
  const directory = await temporary()
  await run(osls, ['package', '--stage', 'production', '--package', directory], directory)
  const zip = readFileSync(join(directory, 'redis-ai-hub.zip'))
  const [entry, ...more] = unzip(zip)
  const kib = (bytes: number) => Math.round(bytes / 1024)
  console.log(`Lambda: ${kib(entry!.size)} KiB of code, ${kib(zip.length)} KiB zipped with the pages`)
  expect(entry!.size).toBeLessThan(1.25 * MEBIBYTE)
  // 1.4 MiB of it are the reference's script, which no start reads.
  expect(zip.length).toBeLessThan(3 * MEBIBYTE)

  const { Resources: resources } = JSON.parse(
    readFileSync(join(directory, 'cloudformation-template-update-stack.json'), 'utf8'),
  )
  const [policy] = resources.IamRoleLambdaExecution.Properties.Policies
  const actions = policy.PolicyDocument.Statement.flatMap(({ Action }: { Action: string[] }) => Action)
  expect(actions.filter((action: string) => !action.startsWith('logs:'))).toEqual([])
  expect(resources.HubLambdaFunction.Properties).toMatchObject({
    Runtime: 'nodejs24.x',
    Handler: 'infra/lambda.handler',
  })
  expect(resources.StreamLambdaFunctionUrl.Properties).toMatchObject({ InvokeMode: 'RESPONSE_STREAM' })
  expect(resources.HubEventsRuleSchedule1.Type).toBe('AWS::Events::Rule')

  const pages = readdirSync(join(root, 'dist/face')).map((name) => `dist/face/${name}`)
  expect(more.map(({ name }) => name).toSorted()).toEqual(pages.toSorted())
  for (const { name, contents } of more) {
    await mkdir(join(directory, dirname(name)), { recursive: true })
    await writeFile(join(directory, name), contents())
  }
  expect(entry!.name).toBe('infra/lambda.cjs')
  const file = join(directory, 'lambda.cjs')
  await writeFile(file, entry!.contents())
  for (const handler of ['handler', 'streamHandler'] as const) {
    const env = { REDIS_URL: testRedisUrl(), LAMBDA_TASK_ROOT: directory }
    await using hub = await startLambdaHub(env, { file, handler })
    expect((await fetch(hub.url)).headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(await (await fetch(`${hub.url}/readyz`)).json()).toEqual({ status: 'ok', redis: 'ok' })
  }
})

const vpc = ['--param=network=vpc', '--param=subnets=subnet-1,subnet-2', '--param=security_groups=sg-1']

test.each([
  ['Upstash, outside of any VPC', { UPSTASH_REDIS_REST_URL: 'https://x.upstash.io' }, []],
  ['ElastiCache, in its VPC', { REDIS_URL: 'rediss://hub:pw@cache.example.com:6379' }, vpc],
] as const)('serverless.yml: %s, with rights to that and no more', async (_, redis, args) => {
  const directory = await temporary()
  await run(osls, ['package', '--package', directory, ...args], directory, redis)
  const { Resources: resources } = JSON.parse(
    readFileSync(join(directory, 'cloudformation-template-update-stack.json'), 'utf8'),
  ) as { Resources: Record<string, { Type: string; Properties: Record<string, unknown> }> }
  const isInside = args.length > 0

  const role = resources.IamRoleLambdaExecution!.Properties as unknown as Role
  const statements = role.Policies.flatMap(({ PolicyDocument }) => PolicyDocument.Statement)
  for (const { Action, Resource } of statements) {
    for (const action of Action) expect(action).toMatch(/^logs:(Create|Put|TagResource)/)
    for (const resource of Resource)
      expect(JSON.stringify(resource)).toContain(':log-group:/aws/lambda/redis-ai-hub-dev')
  }
  const managed = JSON.stringify(role.ManagedPolicyArns ?? [])
  expect(managed.match(/service-role\/\w+/g)).toEqual(
    isInside ? ['service-role/AWSLambdaVPCAccessExecutionRole'] : null,
  )
  const roles = Object.values(resources).filter(({ Type }) => Type === 'AWS::IAM::Role')
  expect(roles).toHaveLength(1)

  const lambdas = Object.values(resources).filter(({ Type }) => Type === 'AWS::Lambda::Function')
  expect(lambdas).toHaveLength(2)
  for (const { Properties: lambda } of lambdas) {
    expect(lambda.Environment).toMatchObject({ Variables: redis })
    expect(lambda.VpcConfig).toEqual(
      isInside
        ? {
            SubnetIds: { 'Fn::Split': [',', 'subnet-1,subnet-2'] },
            SecurityGroupIds: { 'Fn::Split': [',', 'sg-1'] },
          }
        : undefined,
    )
  }
})

test('serverless.yml goes into no VPC that nobody named', async () => {
  const directory = await temporary()
  const packaging = run(osls, ['package', '--package', directory, '--param=network=vpc'], directory)
  const said = await packaging.catch(
    ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
  )
  expect(said).toMatch(/vpc\.subnetIds.*Value not found[\s\S]*vpc\.securityGroupIds.*Value not found/)
})

test('serverless.yml packages ONNX Runtime for one machine where it is wanted, and models run', async () => {
  const directory = await temporary()
  const architecture = process.arch === 'arm64' ? 'arm64' : 'x86_64'
  const wanted = ['--stage', 'inference', `--param=architecture=${architecture}`]
  await run(osls, ['package', ...wanted, '--package', directory], directory)
  const zip = readFileSync(join(directory, 'redis-ai-hub.zip'))
  console.log(`Lambda with ONNX Runtime: ${Math.round(zip.length / 1024)} KiB zipped`)
  expect(zip.length).toBeLessThan(25 * MEBIBYTE)

  for (const { name, contents } of unzip(zip)) {
    await mkdir(join(directory, dirname(name)), { recursive: true })
    await writeFile(join(directory, name), contents())
  }
  const file = join(directory, 'infra/lambda-inference.cjs')
  await using hub = await startLambdaHub({ REDIS_URL: testRedisUrl() }, { file })
  const reply = await fetch(`${hub.url}/v2/models/${unique('model')}/versions/1`, {
    method: 'PUT',
    body: softmax as BodyInit,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/octet-stream' },
  })
  expect([reply.status, await reply.json()]).toMatchObject([201, { max_batch: 64 }])
})

test('serverless.yml deploys a subset by its stage or by a parameter', async () => {
  const functionsOf = async (...args: string[]) => {
    const directory = await temporary()
    await run(osls, ['package', '--package', directory, ...args], directory)
    const state = JSON.parse(readFileSync(join(directory, 'serverless-state.json'), 'utf8'))
    return state.service.provider.environment.FUNCTIONS
  }
  expect(await functionsOf('--stage', 'cache-only')).toBe('cache-complete')
  expect(await functionsOf('--param=functions=keys,cache-complete')).toBe('keys,cache-complete')
})

test('every function deploys on its own, and together they are the whole', async () => {
  const routesOf = async (functions: string) => {
    await using app = await startApp({ env: { FUNCTIONS: functions } })
    expect((await app.get('/healthz')).status).toBe(200)
    const { paths } = await (await app.get('/openapi.json')).json()
    return Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods as object).map((method) => `${method} ${path}`),
    )
  }
  const always = ['get /healthz', 'get /readyz']
  const whole = await routesOf('')
  const parts: string[] = []
  for (const name of Object.keys(table)) {
    const routes = await routesOf(name)
    expect(routes).toEqual(expect.arrayContaining(always))
    const own = routes.filter((route) => !always.includes(route))
    expect(own, name).not.toEqual([])
    parts.push(...own)
  }
  expect([...always, ...parts].toSorted()).toEqual(whole.toSorted())
  await expect(startApp({ env: { FUNCTIONS: 'keys,nothing' } })).rejects.toThrow('`nothing`')
})

/** The files of a zip archive, by its central directory (PKWARE's APPNOTE 4.3). */
function unzip(zip: Buffer): { name: string; size: number; contents(): Buffer }[] {
  const end = zip.lastIndexOf('PK\x05\x06', undefined, 'latin1')
  let at = zip.readUInt32LE(end + 16)
  return Array.from({ length: zip.readUInt16LE(end + 10) }, () => {
    const nameLength = zip.readUInt16LE(at + 28)
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength)
    const size = zip.readUInt32LE(at + 20)
    const local = zip.readUInt32LE(at + 42)
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32)
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
    return { name, size, contents: () => inflateRawSync(zip.subarray(start, start + size)) }
  })
}
