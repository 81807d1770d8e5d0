import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Sample } from './instruments.ts'

/** What Node says of its process. */
export function processGauges(): () => Sample[] {
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  return () => {
    const { rss, heapUsed } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    const samples: Sample[] = [
      { name: 'process.memory.usage', value: rss },
      { name: 'v8js.memory.heap.used', value: heapUsed },
      { name: 'process.uptime', value: process.uptime() },
      { name: 'process.cpu.time', value: user / 1e6, attributes: { 'cpu.mode': 'user' } },
      { name: 'process.cpu.time', value: system / 1e6, attributes: { 'cpu.mode': 'system' } },
      // It measures its own timer's period, of which the resolution is no delay.
      { name: 'nodejs.eventloop.delay.p50', value: Math.max(0, delay.percentile(50) / NS - 0.02) },
      { name: 'nodejs.eventloop.delay.p99', value: Math.max(0, delay.percentile(99) / NS - 0.02) },
    ]
    delay.reset()
    return samples
  }
}

const NS = 1e9
