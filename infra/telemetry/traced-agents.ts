import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { RunStep } from '../../shared/agents/step.ts'
import type { Tool, Tools } from '../../shared/agents/tools/tool.ts'
import { consumed, inSpan } from '../../shared/telemetry/trace-context.ts'

/** A span for each step of an agent; within the trace of the request that runs it, else of the first message that it takes up. */
export function tracedRunStep(runStep: RunStep): RunStep {
  return (call) => {
    const { tenant, agent, record, inbox } = call.claim
    const attributes = {
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.agent.id': agent,
      'hub.tenant': tenant,
      'hub.agent.step': record.steps,
    }
    const step = () =>
      inSpan(`invoke_agent ${agent}`, { kind: SpanKind.INTERNAL, attributes }, () => runStep(call))
    if (trace.getActiveSpan()) return step()
    const traceparents = inbox.map(({ traceparent }) => traceparent)
    return consumed({ tenant, destination: `agent ${agent}`, traceparents }, step)
  }
}

/** A span for each call of a tool; arguments and output only where `captureContent` asks for them. */
export function tracedTools(tools: Tools, captureContent: boolean): Tools {
  const traced = (tool: Tool): Tool => ({
    ...tool,
    run(args, context) {
      const attributes = {
        'gen_ai.operation.name': 'execute_tool',
        'gen_ai.tool.name': tool.name,
        'gen_ai.tool.type': 'function',
        'gen_ai.agent.id': context.agent,
        ...(captureContent && { 'gen_ai.tool.call.arguments': args }),
      }
      return inSpan(`execute_tool ${tool.name}`, { kind: SpanKind.INTERNAL, attributes }, async () => {
        const outcome = await tool.run(args, context)
        const span = trace.getActiveSpan()
        if (captureContent) span?.setAttribute('gen_ai.tool.call.result', outcome.output)
        if (outcome.status === 'error') {
          span?.setAttribute('error.type', 'tool_error').setStatus({ code: SpanStatusCode.ERROR })
        }
        return outcome
      })
    },
  })
  return {
    ...tools,
    open: async (...call) =>
      new Map([...(await tools.open(...call))].map(([name, tool]) => [name, traced(tool)])),
  }
}
