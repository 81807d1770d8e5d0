import { administrationStory } from './administration.ts'
import { agentStory } from './agents.ts'
import { eventStory } from './events.ts'
import type { Story } from './example.ts'
import { modelStory } from './models.ts'
import { platformStory } from './platform.ts'
import { retrievalStory } from './retrieval.ts'

/** One example of every route. A test runs each of them, as the OpenAPI document shows it. */
export const stories: Story = {
  ...retrievalStory,
  ...agentStory,
  ...eventStory,
  ...modelStory,
  ...platformStory,
  ...administrationStory,
}
