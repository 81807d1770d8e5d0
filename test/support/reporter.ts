import type { Reporter, SerializedError, TestModule, TestRunEndReason } from 'vitest/node'

/** Ends the run's output with one line that a script can read: `N passed, N failed, N skipped`. */
export default class TotalsReporter implements Reporter {
  onTestRunEnd(
    modules: readonly TestModule[],
    unhandled: readonly SerializedError[],
    reason: TestRunEndReason,
  ) {
    const count = { passed: 0, failed: unhandled.length, skipped: 0, pending: 0 }
    for (const module of modules) {
      // A file that cannot be loaded has no tests, and must not count as nothing.
      count.failed += module.errors().length
      for (const test of module.children.allTests()) count[test.result().state]++
    }
    const failed = count.failed + count.pending
    // A run that ended before its first test, as when there is no Redis, failed too.
    const line = `${count.passed} passed, ${failed || Number(reason !== 'passed')} failed, ${count.skipped} skipped`
    process.once('exit', () => console.log(line))
  }
}
