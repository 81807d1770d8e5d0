/** A content block of Anthropic's, read leniently. */
export interface Block {
  type: string
  [field: string]: unknown
}

export type Content = string | readonly Block[]

/** Anthropic's `POST /v1/messages`, as far as the hub reads it. */
export interface MessagesRequest {
  model: string
  messages: readonly { role: 'user' | 'assistant' | 'system'; content: Content }[]
  system?: Content | null
  stream?: boolean | null
  max_tokens?: number
  temperature?: number | null
  top_p?: number | null
  top_k?: number | null
  stop_sequences?: readonly string[] | null
  tools?:
    | readonly {
        type?: string | null
        name?: string
        description?: string | null
        input_schema?: object
        strict?: boolean | null
      }[]
    | null
  tool_choice?: {
    type: 'auto' | 'any' | 'tool' | 'none'
    name?: string
    disable_parallel_tool_use?: boolean | null
  } | null
  metadata?: { user_id?: string | null } | null
  output_config?: { effort?: string | null; format?: { schema: object } | null } | null
  /** What runs at Anthropic, and is refused. */
  mcp_servers?: readonly unknown[] | null
  container?: unknown
}
