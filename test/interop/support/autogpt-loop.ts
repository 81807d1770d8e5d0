import type OpenAI from 'openai'

type Arguments = Record<string, string>

export interface Command {
  description: string
  args: string[]
  run(args: Arguments): Promise<string>
}

export interface Goal {
  client: OpenAI
  model: string
  role: string
  goal: string
  commands: Record<string, Command>
  /** Commands as JSON in the reply's text, or as function calls. */
  by: 'text' | 'functions'
}

const MOST_STEPS = 10

/**
 * An agent in AutoGPT's manner: it is told its role, goal and commands, answers with one command at a time, reads its result, and ends
 * with `finish`. Replies are streamed.
 */
export async function pursue({ client, model, role, goal, commands, by }: Goal): Promise<string> {
  const all: Record<string, Command> = {
    ...commands,
    finish: { description: 'End with the result', args: ['result'], run: async ({ result = '' }) => result },
  }
  const messages: OpenAI.ChatCompletionMessageParam[] = [
    { role: 'system', content: instructions(role, goal, by === 'text' ? all : {}) },
    { role: 'user', content: 'Determine exactly one command to use next.' },
  ]
  for (let step = 0; step < MOST_STEPS; step++) {
    const stream = client.chat.completions.stream(
      by === 'text'
        ? { model, messages, temperature: 0, response_format: { type: 'json_object' } }
        : { model, messages, temperature: 0, tools: toTools(all), tool_choice: 'required' },
    )
    const { message } = (await stream.finalChatCompletion()).choices[0]!
    messages.push({ role: 'assistant', content: message.content, tool_calls: message.tool_calls })
    const call = message.tool_calls?.find((one) => one.type === 'function')
    const { name, args } = call
      ? { name: call.function.name, args: JSON.parse(call.function.arguments) as Arguments }
      : (JSON.parse(message.content ?? '').command as { name: string; args: Arguments })
    const command = all[name]
    const result = command ? await command.run(args) : `There is no command ${name}.`
    if (name === 'finish') return result
    messages.push(
      call
        ? { role: 'tool', tool_call_id: call.id, content: result }
        : { role: 'user', content: `Command ${name} returned: ${result}` },
    )
  }
  throw new Error(`Not finished after ${MOST_STEPS} steps`)
}

const instructions = (role: string, goal: string, commands: Record<string, Command>) =>
  [
    `You are ${role}. Your goal: ${goal}`,
    ...Object.entries(commands).map(
      ([name, { description, args }]) => `${name}: ${description}, args: ${args.join(', ')}`,
    ),
    'Answer as JSON: {"thoughts": {"reasoning": …}, "command": {"name": …, "args": {…}}}',
  ].join('\n')

const toTools = (commands: Record<string, Command>): OpenAI.ChatCompletionFunctionTool[] =>
  Object.entries(commands).map(([name, { description, args }]) => ({
    type: 'function',
    function: {
      ...{ name, description },
      parameters: {
        ...{ type: 'object', required: args },
        properties: Object.fromEntries(args.map((arg) => [arg, { type: 'string' }])),
      },
    },
  }))
