import type { Caller } from '../admission.ts'
import { type BuiltIns, objectOf } from './built-in.ts'
import { ok } from './tool-action.ts'

/** Runs a model of the tenant's registry. Errors: `HubError`. */
export type Infer = (
  tenant: string,
  request: { model: string; version?: string; inputs: unknown },
  call: { caller: Caller; signal: AbortSignal; defer(work: Promise<unknown>): void },
) => Promise<unknown>

/** `infer`: one model, chosen by the agent's settings. */
export const inferTools = (infer: Infer) =>
  ({
    infer: {
      scope: 'infer',
      description: 'Run a model on inputs, in the shape of the Open Inference Protocol.',
      parameters: () =>
        objectOf({ inputs: { type: 'array', minItems: 1, items: { type: 'object' } } }, ['inputs']),
      async invoke({ inputs }, { model, version }, { tenant, caller, signal, defer }) {
        return ok(await infer(tenant, { model, version, inputs }, { caller, signal, defer }))
      },
    },
  }) satisfies BuiltIns
