import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'

/** One bash for all commands, which a person would type one after the other; a process each would take most of the time. */
export function startShell(env: Record<string, string>) {
  const child = spawn('bash', [], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdout.setEncoding('utf8')
  let ended = false
  child.once('exit', () => {
    ended = true
  })
  return {
    /** Sets variables. */
    set(variables: Record<string, string>) {
      for (const [name, value] of Object.entries(variables)) {
        child.stdin.write(`${name}='${value.replaceAll("'", `'\\''`)}'\n`)
      }
    },
    /** What the command writes, and what it ends with. */
    async run(command: string): Promise<{ code: number; output: string }> {
      const mark = randomUUID()
      let text = ''
      const over = new RegExp(`${mark} (\\d+)\\n$`)
      const read = (part: string) => {
        text += part
      }
      child.stdout.on('data', read)
      child.stdin.write(`${command}\nprintf '${mark} %d\\n' $?\n`)
      const deadline = AbortSignal.timeout(30_000)
      while (!over.test(text)) {
        if (ended) throw new Error(`The shell ended at: ${command}`)
        await once(child.stdout, 'data', { signal: deadline })
      }
      child.stdout.off('data', read)
      return { code: Number(over.exec(text)![1]), output: text.replace(over, '') }
    },
    stop: () => child.kill(),
  }
}
