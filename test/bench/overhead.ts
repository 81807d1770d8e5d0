import type { Bench, Measurement, Target } from './bench.ts'
import { chatRequest, startHub } from './hub.ts'
import { median, round } from './statistics.ts'

const ROUNDS = 5
const P50_GOAL_MS = 0.5
const CPU_GOAL = 3

/** What the hub adds to a call of a provider, beside a bare forwarder and the provider alone. */
export async function overhead(bench: Bench): Promise<void> {
  const { hub, provider, key } = await startHub(bench)
  const forwarder = await bench.start('test/bench/bare-forwarder.ts', { PROVIDER_URL: provider.url })

  for (const stream of [false, true]) {
    const load = {
      headers: { authorization: `Bearer ${key}` },
      body: chatRequest({ stream }),
      unique: true,
      expect: stream ? 'data: [DONE]' : '"choices"',
    }
    const targets: Target[] = Object.entries({ hub, forwarder, provider }).map(([name, process]) => ({
      name,
      process,
      labels: { stream },
      load: { ...load, url: `${process.url}/v1/chat/completions` },
    }))
    for (const each of targets) await bench.measure(each, { connections: 32, warmUp: true })

    for (const connections of [1, 32]) {
      const measured: Record<string, Measurement[]> = { hub: [], forwarder: [], provider: [] }
      for (let number = 1; number <= ROUNDS; number++) {
        for (const each of number % 2 ? targets : targets.toReversed()) {
          const labels = { ...each.labels, round: number }
          measured[each.name]!.push(await bench.measure({ ...each, labels }, { connections }))
        }
      }
      summarise(bench, { stream, connections }, measured)
    }
  }
}

function summarise(
  bench: Bench,
  labels: { stream: boolean; connections: number },
  { hub, forwarder, provider }: Record<string, Measurement[]>,
) {
  const added = (other: Measurement[]) =>
    round(median(hub!.map(({ p50_ms }, i) => p50_ms - other[i]!.p50_ms)), 3)
  const ratio = (field: keyof Measurement) =>
    round(median(hub!.map((each, i) => each[field] / forwarder![i]![field])), 2)
  const addedToForwarder = added(forwarder!)
  const cpuRatio = ratio('cpu_us_per_request')
  bench.print({
    summary: 'overhead',
    ...labels,
    p50_added_to_forwarder_ms: addedToForwarder,
    p50_added_to_provider_ms: added(provider!),
    p99_added_to_provider_ms: round(median(hub!.map(({ p99_ms }, i) => p99_ms - provider![i]!.p99_ms)), 3),
    throughput_ratio: ratio('requests_per_second'),
    cpu_ratio: cpuRatio,
    ...(labels.connections === 1 && {
      goal: `p50_added_to_forwarder_ms <= ${P50_GOAL_MS} and cpu_ratio <= ${CPU_GOAL}`,
      goal_met: addedToForwarder <= P50_GOAL_MS && cpuRatio <= CPU_GOAL,
    }),
  })
}
