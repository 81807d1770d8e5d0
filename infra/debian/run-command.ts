import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Runs a command to its end and returns what it printed; it is killed, and the call fails, after `timeoutMs`. */
export async function run(command: string, args: string[], options: { timeoutMs: number; cwd?: string }) {
  const { timeoutMs, cwd } = options
  try {
    const { stdout } = await promisify(execFile)(command, args, {
      cwd,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 16 * 2 ** 20,
      env: { ...process.env, LC_ALL: 'C' },
    })
    return stdout
  } catch (error) {
    const overdue = (error as { killed?: boolean }).killed
    if (overdue) throw new Error(`${command} did not finish within ${timeoutMs / 1000} s`)
    throw error
  }
}
