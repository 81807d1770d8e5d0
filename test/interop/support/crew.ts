import type OpenAI from 'openai'

export interface Member {
  role: string
  backstory: string
  tools: Record<string, (input: string) => Promise<string>>
}

export interface Task {
  description: string
  expected: string
  member: Member
}

const MOST_STEPS = 8

/**
 * A crew in CrewAI's manner: tasks one after another, each by a member who reasons in ReAct's text (Thought, Action, Action Input) until
 * its Final Answer; the answer of a task is the context of the next. The reply stops before the observation, which is the program's to make.
 */
export async function kickoff(client: OpenAI, model: string, tasks: readonly Task[]): Promise<string[]> {
  const answers: string[] = []
  for (const task of tasks) answers.push(await work(client, model, task, answers))
  return answers
}

async function work(
  client: OpenAI,
  model: string,
  { description, expected, member }: Task,
  context: string[],
) {
  const messages: OpenAI.ChatCompletionMessageParam[] = [
    {
      role: 'system',
      content: [
        `You are ${member.role}. ${member.backstory}`,
        `You have these tools: ${Object.keys(member.tools).join(', ') || 'none'}.`,
        'Use this format:\nThought: …\nAction: …\nAction Input: …\nObservation: …\nor\nThought: …\nFinal Answer: …',
      ].join('\n'),
    },
    {
      role: 'user',
      content: [
        `Current Task: ${description}`,
        `Expected: ${expected}`,
        ...context.map((one) => `Context: ${one}`),
      ].join('\n'),
    },
  ]
  for (let step = 0; step < MOST_STEPS; step++) {
    const stop = ['\nObservation:']
    const stream = await client.chat.completions.create({
      model,
      messages,
      temperature: 0,
      stop,
      stream: true,
    })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    const answer = /Final Answer:\s*([\s\S]+)/.exec(text)?.[1]
    if (answer) return answer.trim()
    const [, action = '', input = ''] = /Action:\s*(.+)\nAction Input:\s*([\s\S]+)/.exec(text) ?? []
    const tool = member.tools[action.trim()]
    const observation = tool ? await tool(input.trim()) : `There is no tool ${action}.`
    messages.push({ role: 'assistant', content: `${text}\nObservation: ${observation}` })
  }
  throw new Error(`${member.role} has no answer after ${MOST_STEPS} steps`)
}
