/** Loaded before a server that is measured (`--import`): tells its CPU time, and ends it when the bench is gone. */
process.on('message', (message: { cpu?: true }) => {
  if (message.cpu) process.send!(process.cpuUsage())
})
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'))
