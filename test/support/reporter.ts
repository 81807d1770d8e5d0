import type { Reporter, SerializedError, TestModule, TestRunEndReason } from 'vitest/node'

/**
 * Ends the run's output with one line that a script can read: `N passed, N failed, N skipped`. Before it, tests that passed only when
 * they were run again (`.ci/run` gives each a second attempt): something to look into, not nothing.
 */
export default class TotalsReporter implements Reporter {
  onTestRunEnd(
    modules: readonly TestModule[],
    unhandled: readonly SerializedError[],
    reason: TestRunEndReason,
  ) {
    const count = { passed: 0, failed: unhandled.length, skipped: 0, pending: 0 }
    const again: string[] = []
    for (const module of modules) {
      // A file that cannot be loaded has no tests, and must not count as nothing.
      count.failed += module.errors().length
      for (const test of module.children.allTests()) {
        count[test.result().state]++
        if (test.diagnostic()?.flaky) again.push(`${module.relativeModuleId} > ${test.fullName}`)
      }
    }
    const failed = count.failed + count.pending
    // A run that ended before its first test, as when there is no Redis, failed too.
    const line = `${count.passed} passed, ${failed || Number(reason !== 'passed')} failed, ${count.skipped} skipped`
    const notes = again.map((name) => `Passed only at the second attempt: ${name}`)
    process.once('exit', () => console.log([...notes, line].join('\n')))
  }
}
