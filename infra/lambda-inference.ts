/** The AWS Lambda rim that runs models too: onnxruntime-node lies beside it in the package, and is loaded at its first use. */
import { createRuntimeOnnxHere } from '../shared/drivers/runtime-onnx-here.ts'
import { createLambda } from './rim-lambda.ts'

export const { handler, streamHandler } = createLambda(process.env, { modelRuntime: createRuntimeOnnxHere() })
