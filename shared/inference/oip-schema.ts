import { z } from 'zod'

const Input = z.looseObject({
  name: z.string().min(1).max(1_000),
  datatype: z.string().describe('`FP32`, `INT64`, …; no `BYTES`: models here take numbers'),
  shape: z.array(z.int().min(0)).max(32),
  parameters: z
    .looseObject({
      binary_data_size: z.int().min(0).optional().describe('its bytes follow the JSON, so many of them'),
    })
    .optional(),
  data: z.unknown().optional().describe('flat, or nested as the shape says'),
})

const Output = z.looseObject({
  name: z.string(),
  parameters: z.looseObject({ binary_data: z.boolean().optional() }).optional(),
})

/** Open Inference Protocol v2's `$inference_request`, with the parameters of the binary tensor data extension. */
export const OipRequest = z.looseObject({
  id: z.string().max(1_000).optional().describe('comes back in the reply'),
  parameters: z.looseObject({ binary_data_output: z.boolean().optional() }).optional(),
  inputs: z.array(Input).min(1).max(1_000),
  outputs: z.array(Output).min(1).max(1_000).optional().describe('all of them by default'),
})
export type OipRequest = z.output<typeof OipRequest>

/** `$inference_response`. */
export const OipReply = z.object({
  model_name: z.string(),
  model_version: z.string(),
  id: z.string().optional(),
  outputs: z.array(
    z.looseObject({
      name: z.string(),
      datatype: z.string(),
      shape: z.array(z.int()),
      data: z.array(z.union([z.number(), z.boolean()])).optional(),
    }),
  ),
})
export type OipReply = z.output<typeof OipReply>
