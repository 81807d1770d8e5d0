import type { ToolCallContext, ToolOutcome } from './tool.ts'
import type { Action, Args } from './tool-action.ts'
import type { BuiltInName, SettingOf } from './tool-settings.ts'

/** A tool of the hub's own. */
export interface BuiltIn<Setting> extends Pick<Action, 'scope'> {
  description: string
  parameters(setting: Setting): Record<string, unknown>
  host?(args: Args): string | undefined
  invoke(args: Args, setting: Setting, context: ToolCallContext): Promise<ToolOutcome>
}

/** Those of some names; what is missing is not there in this hub. */
export type BuiltIns = { [Name in BuiltInName]?: BuiltIn<SettingOf<Name>> }

/** JSON Schema of an object: what is named in `required` must be there, and nothing else but `properties`. */
export const objectOf = (properties: Record<string, object>, required: readonly string[]) => ({
  ...{ type: 'object', properties, required, additionalProperties: false },
})

export const text = (description: string, maxLength = 10_000) => ({
  ...{ type: 'string', minLength: 1, maxLength, description },
})

/** Of agents, indexes, topics. */
export const name = (description: string, oneOf?: readonly string[]) =>
  oneOf ? { enum: oneOf, description } : { type: 'string', pattern: NAME_PATTERN, description }

const NAME_PATTERN = '^[A-Za-z0-9_.-]{1,64}$'
