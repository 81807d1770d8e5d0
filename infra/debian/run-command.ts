import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Runs a command to its end and returns what it printed; it is killed, and the call fails, after `timeoutMs`. */
export async function run(command: string, args: string[], options: RunOptions) {
  const { timeoutMs, cwd, env } = options
  try {
    const { stdout } = await promisify(execFile)(command, args, {
      cwd,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 16 * 2 ** 20,
      env: { ...process.env, LC_ALL: 'C', ...env },
    })
    return stdout
  } catch (error) {
    const overdue = (error as { killed?: boolean }).killed
    if (overdue) throw new Error(`${command} did not finish within ${timeoutMs / 1000} s`)
    throw error
  }
}

interface RunOptions {
  timeoutMs: number
  cwd?: string
  /** Beside this process's own. */
  env?: Record<string, string>
}
