/** The AWS Lambda rim. */
import { createLambda } from './rim-lambda.ts'

export const { handler, streamHandler } = createLambda(process.env)
