/** Loaded before a server that is measured (`--import`): tells its CPU time and memory, and ends it when the bench is gone. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

process.on('message', (message: { cpu?: true; memory?: true }) => {
  if (message.cpu) process.send!(process.cpuUsage())
  if (message.memory) {
    collect()
    process.send!({ rss: process.memoryUsage.rss() })
  }
})
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'))

function collect() {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}
