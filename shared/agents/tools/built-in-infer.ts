import type { Oip } from '../../inference/oip.ts'
import { type BuiltIns, objectOf } from './built-in.ts'
import { ok } from './tool-action.ts'

const input = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 1_000 },
    datatype: {
      enum: [
        'BOOL',
        'INT8',
        'INT16',
        'INT32',
        'INT64',
        'UINT8',
        'UINT16',
        'UINT32',
        'UINT64',
        'FP32',
        'FP64',
      ],
    },
    shape: { type: 'array', items: { type: 'integer', minimum: 0 }, maxItems: 32 },
    data: { type: 'array', description: 'Numbers: flat, or nested as the shape says.' },
  },
  required: ['name', 'datatype', 'shape', 'data'],
  additionalProperties: false,
}

/** `infer`: runs the model that the agent's settings name. */
export const inferTools = (oip: Pick<Oip, 'answerJson'>) =>
  ({
    infer: {
      scope: 'infer',
      description: 'Run a model on tensors, in the words of the Open Inference Protocol.',
      parameters: () =>
        objectOf({ inputs: { type: 'array', minItems: 1, maxItems: 1_000, items: input } }, ['inputs']),
      async invoke({ inputs }, { model, version }, { caller, signal, defer }) {
        return ok(await oip.answerJson({ caller, model, version, signal, defer }, inputs))
      },
    },
  }) satisfies BuiltIns
