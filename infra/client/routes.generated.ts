// Made from the hub's OpenAPI document by `npm run generate`. Do not edit.

/** What each route takes and gives. */
export interface Routes {

/** The process lives */
'GET /healthz': { reply: { status: "ok" } }

/** It can serve: 200 from then on, `degraded` while Redis is away */
'GET /readyz': { reply: { status: "ok" | "degraded" | "starting"; redis: "ok" | "away" } }

/** Respond to a conversation, from the cache where it can be */
'POST /v1/responses': { body: { model: string; 
/** a text, or items */
input?: Array<{ type: "message"; role: "user" | "assistant" | "system" | "developer"; content: Array<{ type: "input_text"; text: string } | { type: "input_image"; image_url: string; detail?: string | null } | { type: "input_file"; file_data?: string | null; filename?: string | null; 
/** of the provider that answers */
file_id?: string | null } | { type: "input_audio"; input_audio: { data: string; format: string } } | { type: "output_text"; text: string; annotations?: Array<unknown> } | { type: "refusal"; refusal: string }>; id?: string | null; status?: string | null } | { type: "function_call"; call_id: string; name: string; arguments: string; id?: string | null; status?: string | null } | { type: "function_call_output"; call_id: string; output: string | Array<{ type: "input_text"; text: string }>; id?: string | null; status?: string | null } | { type: "file_search_call"; queries: Array<string>; results?: Array<unknown> | null; id?: string | null; status?: string | null } | { type: "item_reference"; id: string } | { type: "reasoning" } & { [name: string]: unknown }>; 
/** of this response alone, not of those that go on from it */
instructions?: string | null; previous_response_id?: string | null; prompt?: { id: string; 
/** a number, or a label */
version?: number | string | null; variables?: { [name: string]: unknown } | null } | null; 
/** kept for 30 days, to be continued; true by default */
store?: boolean | null; stream?: boolean | null; tools?: Array<{ type: "function"; name: string; description?: string | null; parameters?: { [name: string]: unknown } | null; strict?: boolean | null } | { type: "file_search"; 
/** an index of the hub, or its alias */
vector_store_ids: Array<string>; filters?: Filter | null; max_num_results?: number | null; ranking_options?: { 
/** `none` searches by vector alone */
ranker?: string | null; score_threshold?: number } & { [name: string]: unknown } | null }> | null; tool_choice?: "none" | "auto" | "required" | { type: "function"; name: string } | { type: "file_search" } | { type: "allowed_tools"; mode: "auto" | "required"; tools: Array<{ type: "function"; name: string }> } | null; parallel_tool_calls?: boolean | null; text?: { format?: { type: "text" } | { type: "json_object" } | { type: "json_schema"; name: string; schema: { [name: string]: unknown }; description?: string | null; strict?: boolean | null } | null; verbosity?: string | null } & { [name: string]: unknown } | null; reasoning?: { effort?: string | null } & { [name: string]: unknown } | null; max_output_tokens?: number | null; temperature?: number | null; top_p?: number | null; top_logprobs?: number | null; metadata?: { [name: string]: string } | null; 
/** accepted; nothing is cut: a conversation too long for its model is the provider’s 400 */
truncation?: "auto" | "disabled" | null; 
/** `message.output_text.logprobs`, `file_search_call.results`; others name what is not here */
include?: Array<string> | null; user?: string | null; background?: false | null; conversation?: null; 
/** accepted; files are searched once */
max_tool_calls?: number | null; stream_options?: { [name: string]: unknown } | null } & { [name: string]: unknown }; reply: { id: string; object: "response"; status: "in_progress" | "completed" | "incomplete" | "failed"; model: string; output: Array<{ type: string; id: string } & { [name: string]: unknown }>; usage: { [name: string]: unknown } | null } & { [name: string]: unknown } }

/** Read a stored response */
'GET /v1/responses/{id}': { path: { 
/** id of the response */
id: string }; query?: { 
/** a stored response is read as JSON */
stream?: "false" }; reply: { id: string; object: "response"; status: "in_progress" | "completed" | "incomplete" | "failed"; model: string; output: Array<{ type: string; id: string } & { [name: string]: unknown }>; usage: { [name: string]: unknown } | null } & { [name: string]: unknown } }

/** Delete a stored response: what went on from it cannot be continued */
'DELETE /v1/responses/{id}': { path: { 
/** id of the response */
id: string }; reply: { id: string; object: "response"; deleted: true } }

/** List the items that a stored response was asked with */
'GET /v1/responses/{id}/input_items': { path: { 
/** id of the response */
id: string }; query?: { 
/** at most so many */
limit?: number; 
/** `desc`, the newest first, by default */
order?: "asc" | "desc"; 
/** the last id of the page before */
after?: string }; reply: { object: "list"; data: Array<{ type: string } & { [name: string]: unknown }>; first_id: string | null; last_id: string | null; has_more: boolean } }

/** Complete a chat in Anthropic’s shape, from the cache where it can be */
'POST /v1/messages': { body: { 
/** `provider/model`, an alias, or a bare name */
model: string; system?: string | Array<{ type: string } & { [name: string]: unknown }> | null; messages: Array<{ role: "user" | "assistant" | "system"; 
/** a text, or blocks: text, image, document, search_result, tool_use, tool_result */
content: string | Array<{ type: string } & { [name: string]: unknown }> }>; tools?: Array<{ 
/** `custom`: tools that run at Anthropic are refused */
type?: string | null; name?: string; description?: string | null; input_schema?: { [name: string]: unknown }; strict?: boolean | null }> | null; tool_choice?: { type: "auto" | "any" | "tool" | "none"; name?: string; disable_parallel_tool_use?: boolean | null } | null; output_config?: { effort?: string | null; format?: { type: "json_schema"; schema: { [name: string]: unknown } } | null } | null; 
/** refused */
mcp_servers?: Array<unknown> | null; 
/** refused */
container?: unknown; max_tokens: number; stream?: boolean | null; temperature?: number | null; top_p?: number | null; 
/** passed on: a provider may refuse it */
top_k?: number | null; stop_sequences?: Array<string> | null; metadata?: { user_id?: string | null } | null }; reply: { id: string; type: "message"; role: "assistant"; model: string; content: Array<{ type: "text" | "tool_use" } & { [name: string]: unknown }>; stop_reason: "end_turn" | "max_tokens" | "stop_sequence" | "tool_use" | "refusal" | null; stop_sequence: string | null; stop_details: { type: "refusal"; category: null; explanation: string | null } | null; usage: { input_tokens: number; output_tokens: number; cache_creation_input_tokens: number; cache_read_input_tokens: number } } }

/** Estimate the tokens of a request in Anthropic’s shape */
'POST /v1/messages/count_tokens': { body: { 
/** `provider/model`, an alias, or a bare name */
model: string; system?: string | Array<{ type: string } & { [name: string]: unknown }> | null; messages: Array<{ role: "user" | "assistant" | "system"; 
/** a text, or blocks: text, image, document, search_result, tool_use, tool_result */
content: string | Array<{ type: string } & { [name: string]: unknown }> }>; tools?: Array<{ 
/** `custom`: tools that run at Anthropic are refused */
type?: string | null; name?: string; description?: string | null; input_schema?: { [name: string]: unknown }; strict?: boolean | null }> | null; tool_choice?: { type: "auto" | "any" | "tool" | "none"; name?: string; disable_parallel_tool_use?: boolean | null } | null; output_config?: { effort?: string | null; format?: { type: "json_schema"; schema: { [name: string]: unknown } } | null } | null; 
/** refused */
mcp_servers?: Array<unknown> | null; 
/** refused */
container?: unknown }; reply: { input_tokens: number } }

/** Complete a chat, from the cache where it can be */
'POST /v1/chat/completions': { body: { model: string; messages?: Array<{ role: "system" | "developer" | "user" | "assistant" | "tool" | "function"; content?: string | Array<{ type: string } & { [name: string]: unknown }> | null } & { [name: string]: unknown }>; prompt?: { id: string; version?: number; label?: string; variables?: { [name: string]: unknown } } | null; stream?: boolean | null; stream_options?: { include_usage?: boolean } & { [name: string]: unknown } | null; temperature?: number | null; top_p?: number | null; n?: number | null; max_tokens?: number | null; max_completion_tokens?: number | null; stop?: string | Array<string> | null; seed?: number | null; tools?: Array<{ type: string } & { [name: string]: unknown }> | null; tool_choice?: string | { [name: string]: unknown } | null; response_format?: { type: string } & { [name: string]: unknown } | null; user?: string | null; metadata?: { [name: string]: unknown } | null } & { [name: string]: unknown }; reply: { id: string; object: "chat.completion"; choices: Array<{ [name: string]: unknown }> } & { [name: string]: unknown } }

/** Models that can be called */
'GET /v1/models': { reply: { object: "list"; data: Array<{ id: string; object: "model"; created: number; owned_by: string; type: "model"; display_name: string; created_at: string; 
/** USD per million tokens, where it is known */
price?: { input: number; cached: number; output: number } & { [name: string]: unknown } }>; has_more: false; first_id: string | null; last_id: string | null } }

/** What the cache did for this tenant */
'GET /v1/cache/stats': { reply: { hits: number; misses: number; collapsed: number; bypassed: number; hit_rate: number; saved_tokens: number } }

/** Remove stored answers: of one request, or all of this tenant */
'POST /v1/cache/purge': { body: { request?: { model: string; messages?: Array<{ role: "system" | "developer" | "user" | "assistant" | "tool" | "function"; content?: string | Array<{ type: string } & { [name: string]: unknown }> | null } & { [name: string]: unknown }>; prompt?: { id: string; version?: number; label?: string; variables?: { [name: string]: unknown } } | null; stream?: boolean | null; stream_options?: { include_usage?: boolean } & { [name: string]: unknown } | null; temperature?: number | null; top_p?: number | null; n?: number | null; max_tokens?: number | null; max_completion_tokens?: number | null; stop?: string | Array<string> | null; seed?: number | null; tools?: Array<{ type: string } & { [name: string]: unknown }> | null; tool_choice?: string | { [name: string]: unknown } | null; response_format?: { type: string } & { [name: string]: unknown } | null; user?: string | null; metadata?: { [name: string]: unknown } | null } & { [name: string]: unknown } }; reply: { purged: number } }

/** Embed texts in the shape of Hugging Face’s Text Embeddings Inference */
'POST /embed': { query?: { 
/** the hub’s default embedding model where none is named */
model?: string }; body: { inputs: string | Array<string>; dimensions?: number | null }; reply: Array<Array<number>> }

/** Embed texts, from the cache where they are in it */
'POST /v1/embeddings': { body: { 
/** `provider/model`, or `local`, the embedded one */
model: string; 
/** a text, or up to 2048; tokens in place of texts where the provider takes them */
input: string | Array<string> | Array<number> | Array<Array<number>>; 
/** shorter vectors, where the model can make them */
dimensions?: number | null; encoding_format?: "float" | "base64" | null; user?: string | null }; reply: { object: "list"; data: Array<{ object: "embedding"; index: number; embedding: Array<number> | string }>; model: string; usage: { prompt_tokens: number; total_tokens: number } } }

/** List indexes by name */
'GET /v1/indexes': { reply: { data: Array<{ name: string; fields: { [name: string]: "tag" | "number" | "text" }; dimensions: number; metric: "cosine" | "euclidean" | "dot_product"; embedding_model: string | null; hot_tag: string | null; quantization: "none" | "int8"; chunking: { 
/** most characters of a chunk */
size: number; 
/** what two neighbours share, at most a third of `size` */
overlap: number }; created_at: string }> } }

/** Make an index; with the settings that it has, nothing changes */
'PUT /v1/indexes/{index}': { path: { 
/** name of the index, or an alias of it */
index: string }; body: { 
/** of the metadata: a tag or number can be filtered by, a text is searched */
fields?: { [name: string]: "tag" | "number" | "text" }; 
/** of the vectors; by default the embedding model’s own */
dimensions?: number; 
/** `cosine` by default */
metric?: "cosine" | "euclidean" | "dot_product"; 
/** `provider/model`; null: documents bring their vectors */
embedding_model?: string | null; 
/** a tag whose filters should be as quick as none */
hot_tag?: string; 
/** `int8` takes a quarter of the memory and loses some recall */
quantization?: "none" | "int8"; 
/** 1,000 characters with 150 shared by default */
chunking?: { 
/** most characters of a chunk */
size: number; 
/** what two neighbours share, at most a third of `size` */
overlap: number } }; reply: { name: string; fields: { [name: string]: "tag" | "number" | "text" }; dimensions: number; metric: "cosine" | "euclidean" | "dot_product"; embedding_model: string | null; hot_tag: string | null; quantization: "none" | "int8"; chunking: { 
/** most characters of a chunk */
size: number; 
/** what two neighbours share, at most a third of `size` */
overlap: number }; created_at: string } }

/** Read an index, by its name or an alias */
'GET /v1/indexes/{index}': { path: { 
/** name of the index, or an alias of it */
index: string }; reply: { name: string; fields: { [name: string]: "tag" | "number" | "text" }; dimensions: number; metric: "cosine" | "euclidean" | "dot_product"; embedding_model: string | null; hot_tag: string | null; quantization: "none" | "int8"; chunking: { 
/** most characters of a chunk */
size: number; 
/** what two neighbours share, at most a third of `size` */
overlap: number }; created_at: string; 
/** about how many there are */
documents: number } }

/** Delete an index with all its documents, and the aliases that lead to it */
'DELETE /v1/indexes/{index}': { path: { 
/** name of the index, or an alias of it */
index: string }; reply: undefined }

/** List aliases by name */
'GET /v1/index-aliases': { reply: { data: Array<{ alias: string; index: string }> } }

/** Lead an alias to an index: from now on here, within a second everywhere */
'PUT /v1/index-aliases/{alias}': { path: { 
/** the name that leads to an index */
alias: string }; body: { index: string }; reply: { alias: string; index: string } }

/** Remove an alias; its index stays */
'DELETE /v1/index-aliases/{alias}': { path: { 
/** the name that leads to an index */
alias: string }; reply: undefined }

/** Write documents: all are checked and embedded first, then each is replaced as a whole · Equal content is not embedded again, so that a call may be repeated: documents are known by their id. One without an id gets a random one, with an Idempotency-Key always the same one. */
'POST /v1/indexes/{index}/documents': { path: { 
/** name of the index, or an alias of it */
index: string }; query?: { 
/** `true`: they are only queued, and the reply is a job */
async?: "true" | "false" }; body: Array<{ text: string; 
/** of the whole document, in one chunk */
vector?: Array<number>; metadata?: { [name: string]: unknown }; 
/** 1 to 512 characters; a random one by default */
id?: string }>; raw: 'application/x-ndjson'; reply: { accepted: number; documents: Array<{ id: string; chunks: number; 
/** it was there like this, and was neither embedded nor written again */
unchanged: boolean }> } | { id: string; 
/** `failed`: all is over, and something failed */
status: "queued" | "running" | "done" | "failed"; index: string; 
/** documents */
total: number; done: number; failed: number; 
/** the first hundred */
errors: Array<{ document_id: string; code: string; message: string }>; created_at: string; finished_at: string | null } }

/** List the ids of documents, in pages */
'GET /v1/indexes/{index}/documents': { path: { 
/** name of the index, or an alias of it */
index: string }; query?: { 
/** the last one of the page before, or its `next` */
after?: string; 
/** at most so many */
limit?: number }; reply: { data: Array<{ id: string }>; 
/** the `after` of the next page */
next: string | null } }

/** Write one document: JSON, or a file of text, Markdown, HTML or PDF · The metadata of a file comes as JSON in `x-hub-metadata` (ASCII: escape other characters as `\u…`) or `?metadata=`. */
'PUT /v1/indexes/{index}/documents/{id}': { path: { 
/** name of the index, or an alias of it */
index: string; 
/** id of the document */
id: string }; body: { text: string; 
/** of the whole document, in one chunk */
vector?: Array<number>; metadata?: { [name: string]: unknown } }; raw: 'text/plain' | 'text/markdown' | 'text/html' | 'application/pdf'; reply: { id: string; chunks: number; 
/** it was there like this, and was neither embedded nor written again */
unchanged: boolean } }

/** Read a document */
'GET /v1/indexes/{index}/documents/{id}': { path: { 
/** name of the index, or an alias of it */
index: string; 
/** id of the document */
id: string }; reply: { id: string; text: string; metadata: { [name: string]: unknown }; chunks: number } }

/** Delete a document */
'DELETE /v1/indexes/{index}/documents/{id}': { path: { 
/** name of the index, or an alias of it */
index: string; 
/** id of the document */
id: string }; reply: undefined }

/** Delete the documents whose metadata passes a filter */
'POST /v1/indexes/{index}/documents/delete': { path: { 
/** name of the index, or an alias of it */
index: string }; body: { filter: Filter }; reply: { deleted: number } }

/** Write a page of documents into another index, e.g. of another embedding model · Text and metadata are copied; vectors are made anew. Repeat it with the `cursor` of the reply until that is null, then lead the alias there. */
'POST /v1/indexes/{index}/copy': { path: { 
/** name of the index, or an alias of it */
index: string }; body: { to: string; cursor?: string; limit?: number }; reply: { copied: number; unchanged: number; cursor: string | null } }

/** How far queued documents are */
'GET /v1/jobs/{id}': { path: { 
/** of the reply that queued the documents */
id: string }; reply: { id: string; 
/** `failed`: all is over, and something failed */
status: "queued" | "running" | "done" | "failed"; index: string; 
/** documents */
total: number; done: number; failed: number; 
/** the first hundred */
errors: Array<{ document_id: string; code: string; message: string }>; created_at: string; finished_at: string | null } }

/** Search an index by vector, text or both */
'POST /v1/indexes/{index}/search': { path: { 
/** name of the index, or an alias of it */
index: string }; body: { query?: string; 
/** as long as the index has dimensions */
vector?: Array<number>; 
/** `hybrid` by default; `vector` where there is no query, `text` where nothing can embed it */
mode?: "vector" | "text" | "hybrid"; top_k?: number; filter?: Filter; 
/** least similarity; not in text mode */
min_score?: number; 
/** what similarity counts in hybrid mode, words count the rest; 0.3 by default, which suits the embedded model */
vector_weight?: number; 
/** `eventual`: replicas may answer, and what was written a moment ago may be missing; `strong` by default */
consistency?: "strong" | "eventual"; explain?: boolean }; reply: { results: Array<{ document_id: string; 
/** its number in the document, from 0 */
chunk: number; text: string; 
/** similarity in vector mode, BM25 or alike in text mode, a weighted sum from 0 to 1 in hybrid mode */
score: number; 
/** where it is known; 1 is the same */
similarity?: number; metadata: { [name: string]: unknown }; 
/** words of the query in `text`, in UTF-16 units */
highlights?: Array<{ start: number; end: number }> }>; explain?: { mode: string; store: string; fusion?: { [name: string]: unknown }; 
/** what the store did */
plan: Array<{ [name: string]: unknown }>; phases: Array<{ name: string; start: number; milliseconds: number }>; 
/** hits of replaced versions, which were passed over */
stale: number } } }

/** Search an index in the shape of OpenAI’s vector stores */
'POST /v1/vector_stores/{index}/search': { path: { 
/** name of the index, or an alias of it */
index: string }; body: { query: string | Array<string>; filters?: Filter | null; max_num_results?: number; ranking_options?: { 
/** `none` searches by vector alone */
ranker?: string; score_threshold?: number } & { [name: string]: unknown } | null; 
/** accepted; the query is searched with as it is */
rewrite_query?: boolean | null } & { [name: string]: unknown }; reply: { object: "vector_store.search_results.page"; search_query: string | Array<string>; data: Array<{ file_id: string; filename: string; score: number; attributes: { [name: string]: string | number | boolean }; content: Array<{ type: "text"; text: string }> }>; has_more: boolean; next_page: null } }

/** Answer a question from the documents of an index */
'POST /v1/ask': { body: { index: string; question: string; filter?: Filter; mode?: "vector" | "text" | "hybrid"; 
/** HUB_ASK_MODEL by default; `local/local` quotes the best sentences */
model?: string; 
/** what was said before, oldest first */
messages?: Array<{ role: "user" | "assistant"; content: string }>; 
/** chunks to look at */
top_k?: number; 
/** least similarity of a chunk, in place of the hub’s own judgement */
min_score?: number; 
/** of the sources together */
max_context_tokens?: number; 
/** server-sent events: `chat.completion.chunk`s, the last of which has `answer`, `citations` and `found` */
stream?: boolean }; reply: { answer: string; citations: Array<{ document_id: string; 
/** `text.slice(start, end)` of the stored document */
quote: string; 
/** in UTF-16 units */
start: number; end: number; 
/** part of the statement’s words, by weight, that the quote holds */
score: number; 
/** marks it in the answer: `[source]` */
source: number }>; 
/** whether the documents hold an answer; where not, no model may have been asked */
found: boolean; usage: { [name: string]: unknown }; model: string } }

/** List agents by name */
'GET /v1/agents': { query?: { 
/** the last one of the page before, or its `next` */
after?: string; 
/** at most so many */
limit?: number }; reply: { data: Array<{ id: string; status: string; version: number } & { [name: string]: unknown }>; next: string | null } }

/** Make an agent, or change it */
'PUT /v1/agents/{id}': { path: { 
/** name of the agent */
id: string }; body: { 
/** executors take tasks that planners give away */
role: "planner" | "executor" | "custom"; 
/** HUB_AGENT_MODEL by default */
model?: string; 
/** its system message */
instructions?: string; tools?: Array<{ type: "builtin"; name: "search"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; 
/** the model names one where this does not */
index?: string; filter?: Filter; mode?: "vector" | "text" | "hybrid"; 
/** 5 by default */
top_k?: number; min_score?: number } | { type: "builtin"; name: "ask"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; 
/** the model names one where this does not */
index?: string; filter?: Filter; mode?: "vector" | "text" | "hybrid"; 
/** 5 by default */
top_k?: number; min_score?: number; model?: string } | { type: "builtin"; name: "infer"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; model: string; version?: string } | { type: "builtin"; name: "add_document"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; 
/** the model names one where this does not */
index?: string } | { type: "builtin"; name: "remember"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number } | { type: "builtin"; name: "recall"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; 
/** 5 by default */
top_k?: number; min_score?: number } | { type: "builtin"; name: "read_knowledge"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; 
/** all by default */
topics?: Array<string> } | { type: "builtin"; name: "write_knowledge"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; 
/** all by default */
topics?: Array<string> } | { type: "builtin"; name: "send_message"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; 
/** whom it may name; any by default */
agents?: Array<string>; 
/** any by default */
channels?: Array<string> } | { type: "builtin"; name: "assign_task"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; 
/** whom it may name; any by default */
agents?: Array<string> } | { type: "builtin"; name: "wait"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number } | { type: "builtin"; name: "log"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number } | { type: "builtin"; name: "http_fetch"; 
/** what the model calls it; its name by default */
alias?: string; 
/** what the model reads of it */
description?: string; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number; 
/** hosts: `example.com`, `*.example.com`, `example.com:8443` */
allow: Array<string>; 
/** GET by default */
methods?: Array<"GET" | "POST" | "PUT" | "PATCH" | "DELETE">; 
/** `text`: of HTML what a reader reads; `raw` by default */
as?: "raw" | "text"; 
/** plain HTTP, and addresses that are not public; needs an admin */
allow_private?: boolean } | { type: "webhook"; name: string; 
/** what the model reads of it */
description?: string; 
/** JSON Schema of the arguments: an object */
parameters?: { [name: string]: unknown }; url: string; 
/** signs by Standard Webhooks; stored encrypted and not shown again */
secret?: string; 
/** plain HTTP, and addresses that are not public; needs an admin */
allow_private?: boolean; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number } | { type: "mcp"; 
/** of Streamable HTTP */
url: string; 
/** before the names of its tools */
prefix?: string; 
/** `Authorization` and the like; stored encrypted and not shown again */
headers?: { [name: string]: string }; 
/** its tools; all by default */
allow?: Array<string>; 
/** plain HTTP, and addresses that are not public; needs an admin */
allow_private?: boolean; 
/** of a call, its retries included; 30 by default */
timeout_seconds?: number; 
/** where a call may pass; of idempotent tools */
retries?: number; 
/** a person must agree to each call */
approval?: boolean; 
/** it may be called again with the same idempotency key; not of webhooks and MCP by default */
idempotent?: boolean; 
/** results may be reused for so long */
cache_ttl_seconds?: number }>; 
/** of a run: from an input to its end */
limits?: { 
/** 50 by default */
steps?: number; 
/** read and written by models */
tokens?: number; 
/** USD */
cost?: number; 
/** wall time */
seconds?: number }; 
/** kinds of tasks that an executor takes; any by default */
topics?: Array<string>; memory?: { 
/** 8,000 by default; what is older is summed up */
max_tokens?: number; 
/** keep lasting facts of what users say */
extract?: boolean } }; reply: { id: string; status: string; version: number } & { [name: string]: unknown } }

/** Read an agent and its state */
'GET /v1/agents/{id}': { path: { 
/** name of the agent */
id: string }; reply: { id: string; status: string; version: number } & { [name: string]: unknown } }

/** Delete an agent */
'DELETE /v1/agents/{id}': { path: { 
/** name of the agent */
id: string }; reply: undefined }

/** Run one step, or all until the run is over · With `Idempotency-Key` a step happens once, however often it is asked for. With `until: "done"`: server-sent events `step`, or with `stream: false` or `Accept: application/json` the last step. */
'POST /v1/agents/{id}/steps': { path: { 
/** name of the agent */
id: string }; body: { 
/** what the agent is told */
input?: string | { [name: string]: unknown }; 
/** go on until the run is over or waits, and stream the steps */
until?: "done"; 
/** false: only the last step, as JSON */
stream?: boolean; 
/** on calls that wait for a person */
decisions?: Array<{ call_id: string; 
/** run it; refuse it; run again what may have run; take `output` for its result */
action: "approve" | "reject" | "retry" | "result"; output?: string; reason?: string }> }; reply: { step: number; status: "running" | "waiting" | "done" | "failed" | "needs_attention"; output: string | null; tool_calls: Array<{ id: string; name: string; arguments: string } & { [name: string]: unknown }>; version: number } & { [name: string]: unknown } }

/** The journal, the oldest step first */
'GET /v1/agents/{id}/steps': { path: { 
/** name of the agent */
id: string }; query?: { 
/** a step’s number */
after?: number; 
/** at most so many */
limit?: number }; reply: { data: Array<{ step: number; status: "running" | "waiting" | "done" | "failed" | "needs_attention"; output: string | null; tool_calls: Array<{ id: string; name: string; arguments: string } & { [name: string]: unknown }>; version: number } & { [name: string]: unknown }> } }

/** Send a message: the agent takes it up by itself */
'POST /v1/agents/{id}/messages': { path: { 
/** name of the agent */
id: string }; body: { content: string | { [name: string]: unknown }; 
/** what `wait` may name */
event_type?: string }; reply: { id: string } }

/** Listen to an agent’s steps · Server-sent events. With `Last-Event-ID` nothing is missed. */
'GET /v1/agents/{id}/events': { path: { 
/** name of the agent */
id: string }; reply: EventStream }

/** What an agent remembers, by meaning or the latest first */
'GET /v1/agents/{id}/memory': { path: { 
/** name of the agent */
id: string }; query?: { 
/** without it: all, the latest first */
query?: string; 
/** 10 by default */
top_k?: number; 
/** least similarity */
min_score?: number; 
/** what was valid then; now by default */
at?: string; 
/** JSON: OpenAI’s filter objects, over metadata and `created_at` */
filter?: string; 
/** 20 by default */
limit?: number; 
/** `next` of the page before */
before?: string; 
/** forgotten ones, which can be brought back */
forgotten?: "true" | "false" }; reply: { data: Array<{ id: string; text: string; origin: { kind: "tool" | "user" | "extracted" } & { [name: string]: unknown }; valid_from: string; valid_until: string | null; created_at: string; forgotten_at: string | null; metadata: { [name: string]: unknown }; 
/** similarity to the query */
score?: number }>; next?: string | null } }

/** Have an agent remember something · What says the same as a memory that it has is not stored again. With an Idempotency-Key the call may be repeated. */
'POST /v1/agents/{id}/memory': { path: { 
/** name of the agent */
id: string }; body: { text: string; 
/** now by default */
valid_from?: string; 
/** for good by default */
valid_until?: string; 
/** what a recall may filter by: texts, truth values, numbers, lists of texts */
metadata?: { [name: string]: unknown } }; reply: { status: "stored" | "duplicate" | "refused"; 
/** of the memory, or of the one that says the same */
id?: string; similarity?: number; why?: string } }

/** Forget; it can be brought back for 30 days */
'DELETE /v1/agents/{id}/memory/{memory}': { path: { 
/** name of the agent */
id: string; 
/** id of the memory */
memory: string }; reply: undefined }

/** Bring back what was forgotten */
'POST /v1/agents/{id}/memory/{memory}/restore': { path: { 
/** name of the agent */
id: string; 
/** id of the memory */
memory: string }; reply: { id: string; text: string; origin: { kind: "tool" | "user" | "extracted" } & { [name: string]: unknown }; valid_from: string; valid_until: string | null; created_at: string; forgotten_at: string | null; metadata: { [name: string]: unknown }; 
/** similarity to the query */
score?: number } }

/** Give a task away · The channel `agent:tasks` tells of it, `agent:events` of its end. */
'POST /v1/tasks': { body: { 
/** the same id is the same task; `Idempotency-Key` by default, else a random one */
id?: string; input: Json0; 
/** who is to do it; by default any that is free and takes its topic */
to?: string; topic?: string; 
/** the agent whose inbox the result goes to */
planner?: string }; reply: { id: string; input: Json0; to?: string; topic?: string; planner?: string; status: "waiting" | "assigned" | "done" | "failed"; 
/** that runs, or was the last */
attempt: number; executor?: string; output?: Json1; 
/** why the hub says that it failed */
error?: string; created_at: string; updated_at: string } }

/** List tasks */
'GET /v1/tasks': { query?: { 
/** only those */
status?: "waiting" | "assigned" | "done" | "failed"; 
/** at most so many */
limit?: number }; reply: { data: Array<{ id: string; input: Json0; to?: string; topic?: string; planner?: string; status: "waiting" | "assigned" | "done" | "failed"; 
/** that runs, or was the last */
attempt: number; executor?: string; output?: Json1; 
/** why the hub says that it failed */
error?: string; created_at: string; updated_at: string }> } }

/** Read a task, for a week after its end */
'GET /v1/tasks/{id}': { path: { 
/** id of the task */
id: string }; reply: { id: string; input: Json0; to?: string; topic?: string; planner?: string; status: "waiting" | "assigned" | "done" | "failed"; 
/** that runs, or was the last */
attempt: number; executor?: string; output?: Json1; 
/** why the hub says that it failed */
error?: string; created_at: string; updated_at: string } }

/** Claim the oldest task that one takes · It is another executor’s once the lease is over: renew it while working. After 5 attempts a task has failed. */
'POST /v1/task-claims': { body: { executor: string; 
/** any by default */
topics?: Array<string>; wait_seconds?: number; 
/** renew it before it is over */
lease_seconds: number }; reply: { task: { id: string; attempt: number; input: Json0; to?: string; topic?: string; planner?: string; lease_expires_at: string } } | undefined }

/** Keep a claimed task · 409 `task_lost` where it is another one’s now. */
'PUT /v1/tasks/{id}/lease': { path: { 
/** id of the task */
id: string }; body: { 
/** of the claim */
attempt: number; 
/** renew it before it is over */
lease_seconds: number }; reply: { lease_expires_at: string } }

/** Report how a claimed task went · May be repeated: the first report counts. 409 `task_lost` where it is another one’s now. */
'POST /v1/tasks/{id}/result': { path: { 
/** id of the task */
id: string }; body: { 
/** of the claim */
attempt: number; status: "done" | "failed"; output?: Json0 }; reply: { id: string; input: Json0; to?: string; topic?: string; planner?: string; status: "waiting" | "assigned" | "done" | "failed"; 
/** that runs, or was the last */
attempt: number; executor?: string; output?: Json1; 
/** why the hub says that it failed */
error?: string; created_at: string; updated_at: string } }

/** List topics */
'GET /v1/knowledge': { query?: { 
/** at most so many */
limit?: number; 
/** the last topic of the page before */
after?: string }; reply: { data: Array<{ topic: string; fields: number }>; has_more: boolean } }

/** Write facts of a topic; others stay · All of them are written or none. `Idempotency-Key` makes a repeated write one write. 409 `version_conflict` where a condition does not hold. */
'PUT /v1/knowledge/{topic}': { path: { 
/** name of the topic */
topic: string }; query?: { 
/** only where the field has this version; 0: where it is not there */
if_versions?: { [name: string]: number } }; body: { [name: string]: Json0 }; reply: { topic: string; facts: { [name: string]: { value: Json0; version: number; by: string; at: string } } } }

/** Read what is known of a topic */
'GET /v1/knowledge/{topic}': { path: { 
/** name of the topic */
topic: string }; query?: { 
/** only these */
field?: Array<string> }; reply: { topic: string; facts: { [name: string]: { value: Json0; version: number; by: string; at: string } } } }

/** Forget a topic */
'DELETE /v1/knowledge/{topic}': { path: { 
/** name of the topic */
topic: string }; reply: undefined }

/** Set how a stream is kept and who works on it */
'PUT /v1/events/{stream}': { path: { 
/** name of the stream; it is there once an event is */
stream: string }; body: { 
/** who works on it; its other fields are that handler’s own */
handler?: { type: string } & { [name: string]: unknown }; 
/** events with the same value there are worked on in order: `subject`, `data.customer.id` */
key?: string; 
/** where plain JSON without an id has one: `order.id` */
id?: string; 
/** JSON Schema of `data`; no recursion, no other documents */
schema?: { [name: string]: unknown }; 
/** events that may wait, before intake answers 429; 100,000 by default */
max_lag?: number; 
/** how long events stay after they were worked on, or without a handler after they came; a day by default */
retention_seconds?: number; 
/** a day by default */
result_ttl_seconds?: number; 
/** for how long an event with the same source and id is a duplicate; a day by default, 0: never */
dedupe_seconds?: number; retry?: { attempts?: number; first_seconds?: number; longest_seconds?: number } }; reply: { 
/** who works on it; its other fields are that handler’s own */
handler?: { type: string } & { [name: string]: unknown }; 
/** events with the same value there are worked on in order: `subject`, `data.customer.id` */
key?: string; 
/** where plain JSON without an id has one: `order.id` */
id?: string; 
/** JSON Schema of `data`; no recursion, no other documents */
schema?: { [name: string]: unknown }; 
/** events that may wait, before intake answers 429; 100,000 by default */
max_lag?: number; 
/** how long events stay after they were worked on, or without a handler after they came; a day by default */
retention_seconds?: number; 
/** a day by default */
result_ttl_seconds?: number; 
/** for how long an event with the same source and id is a duplicate; a day by default, 0: never */
dedupe_seconds?: number; retry?: { attempts?: number; first_seconds?: number; longest_seconds?: number }; name: string } }

/** Read a stream’s settings; what is not set is as by default */
'GET /v1/events/{stream}': { path: { 
/** name of the stream; it is there once an event is */
stream: string }; reply: { 
/** who works on it; its other fields are that handler’s own */
handler?: { type: string } & { [name: string]: unknown }; 
/** events with the same value there are worked on in order: `subject`, `data.customer.id` */
key?: string; 
/** where plain JSON without an id has one: `order.id` */
id?: string; 
/** JSON Schema of `data`; no recursion, no other documents */
schema?: { [name: string]: unknown }; 
/** events that may wait, before intake answers 429; 100,000 by default */
max_lag?: number; 
/** how long events stay after they were worked on, or without a handler after they came; a day by default */
retention_seconds?: number; 
/** a day by default */
result_ttl_seconds?: number; 
/** for how long an event with the same source and id is a duplicate; a day by default, 0: never */
dedupe_seconds?: number; retry?: { attempts?: number; first_seconds?: number; longest_seconds?: number }; name: string } }

/** Set everything as by default: nobody works on it; its events stay as long as they would */
'DELETE /v1/events/{stream}': { path: { 
/** name of the stream; it is there once an event is */
stream: string }; reply: undefined }

/** Send events: CloudEvents, plain JSON, or one event a line · The reply comes once Redis has them. A batch is stored as a whole or not at all; lines are stored in parts of up to 1,000 while they come. An event with the same source and id as one of the last day is a duplicate. With an Idempotency-Key, events without an id can be sent again. */
'POST /v1/events/{stream}': { path: { 
/** name of the stream; it is there once an event is */
stream: string }; body: { [name: string]: unknown }; raw: string; reply: { accepted: number; 
/** seen before, by source and id: not stored again */
duplicates: number; 
/** in the order that they came in; left out for `Prefer: return=minimal` */
events?: Array<{ id: string; result_id: string }> } }

/** List streams that have settings */
'GET /v1/events': { reply: { data: Array<{ 
/** who works on it; its other fields are that handler’s own */
handler?: { type: string } & { [name: string]: unknown }; 
/** events with the same value there are worked on in order: `subject`, `data.customer.id` */
key?: string; 
/** where plain JSON without an id has one: `order.id` */
id?: string; 
/** JSON Schema of `data`; no recursion, no other documents */
schema?: { [name: string]: unknown }; 
/** events that may wait, before intake answers 429; 100,000 by default */
max_lag?: number; 
/** how long events stay after they were worked on, or without a handler after they came; a day by default */
retention_seconds?: number; 
/** a day by default */
result_ttl_seconds?: number; 
/** for how long an event with the same source and id is a duplicate; a day by default, 0: never */
dedupe_seconds?: number; retry?: { attempts?: number; first_seconds?: number; longest_seconds?: number }; name: string }> } }

/** Read dead letters, oldest first, in pages */
'GET /v1/events/{stream}/dead': { path: { 
/** name of the stream; it is there once an event is */
stream: string }; query?: { 
/** the last one of the page before, or its `next` */
after?: string; 
/** at most so many */
limit?: number }; reply: { data: Array<{ 
/** what a replay names */
id: string; cause: string; attempts: number; at: string; result_id: string | null; event: { [name: string]: unknown } | null }>; 
/** the `after` of the next page */
next: string | null } }

/** Put dead letters back into their stream, by id or by filter · May be repeated: what was put back is no dead letter any more. */
'POST /v1/events/{stream}/dead/replay': { path: { 
/** name of the stream; it is there once an event is */
stream: string }; body: { ids: Array<string> } | { 
/** all that is given must hold; `{}`: every one */
filter: { 
/** a part of it */
cause?: string; 
/** when it was given up */
before?: string; after?: string; 
/** of the event */
type?: string }; 
/** `next` of the call before */
after?: string }; reply: { replayed: number; 
/** which of those that were named; the others are gone */
ids?: Array<string>; 
/** there may be more: the `after` of the next call */
next?: string | null } }

/** Read the latest events, the newest first */
'GET /v1/events/{stream}/latest': { path: { 
/** name of the stream; it is there once an event is */
stream: string }; query?: { 
/** at most so many */
limit?: number }; reply: { data: Array<{ result_id: string; received_at: string; 
/** CloudEvent */
event: { id: string; source: string; type: string } & { [name: string]: unknown } }> } }

/** List a tenant’s webhook sources, without their secrets */
'GET /v1/webhooks': { query?: { 
/** by default that of the key */
tenant?: string }; reply: { data: Array<{ source: string; scheme: "standard" | "github" | "stripe" | "slack"; target: { stream: string } | { agent: string }; 
/** where the sender is to call */
path: string; 
/** until then the secret before is taken as well */
previous_secret_until: string | null; created_at: string; updated_at: string }> } }

/** Let a sender’s webhooks into a stream or to an agent; with another secret, both are taken for a while */
'PUT /v1/webhooks/{source}': { path: { 
/** name of the source */
source: string }; query?: { 
/** by default that of the key */
tenant?: string }; body: { 
/** how the sender signs */
scheme: "standard" | "github" | "stripe" | "slack"; 
/** that the sender signs with; absent, it stays. Another one: both are taken for a while */
secret?: string; 
/** how long the secret before is taken as well; a day by default */
grace_seconds?: number; target: { stream: string } | { agent: string } }; reply: { source: string; scheme: "standard" | "github" | "stripe" | "slack"; target: { stream: string } | { agent: string }; 
/** where the sender is to call */
path: string; 
/** until then the secret before is taken as well */
previous_secret_until: string | null; created_at: string; updated_at: string } }

/** Read a webhook source, without its secrets */
'GET /v1/webhooks/{source}': { path: { 
/** name of the source */
source: string }; query?: { 
/** by default that of the key */
tenant?: string }; reply: { source: string; scheme: "standard" | "github" | "stripe" | "slack"; target: { stream: string } | { agent: string }; 
/** where the sender is to call */
path: string; 
/** until then the secret before is taken as well */
previous_secret_until: string | null; created_at: string; updated_at: string } }

/** Remove a webhook source */
'DELETE /v1/webhooks/{source}': { path: { 
/** name of the source */
source: string }; query?: { 
/** by default that of the key */
tenant?: string }; reply: undefined }

/** Take a signed webhook: an event for the source’s stream or agent · Needs no key: the signature is checked over the body’s bytes. A signed time may be five minutes off. Sent again, it is a duplicate and stored once. */
'POST /v1/webhooks/{source}': { path: { 
/** name of the source */
source: string }; query?: { 
/** by default that of the key */
tenant?: string }; body?: unknown; reply: Response | { accepted: number; duplicates: number; events: Array<{ id: string; result_id?: string }> } }

/** List the tenant’s alert rules */
'GET /v1/alerts': { reply: { data: Array<{ name: string; 
/** events of a stream as they came in, what came of them, or what a pipeline made of events */
on: { stream: string } | { results: string } | { pipeline: string }; when: { type: string } & { [name: string]: unknown }; webhook?: { url: string; secret?: string; allow_private?: boolean }; cooldown_seconds: number; created_at: string; updated_at: string }> } }

/** Set an alert rule; every instance follows within a second */
'PUT /v1/alerts/{name}': { path: { 
/** name of the rule */
name: string }; body: { 
/** events of a stream as they came in, what came of them, or what a pipeline made of events */
on: { stream: string } | { results: string } | { pipeline: string }; when: { type: "threshold"; 
/** dotted: `data.temperature` of an event, `result.score` or `event.data.temperature` of a result */
path: string; op: "eq" | "ne" | "gt" | "gte" | "lt" | "lte"; value: string | number | boolean; filter?: Filter } | { type: "rate"; 
/** as many, at least, within the window */
count: number; window_seconds: number; filter?: Filter } | { type: "absence"; 
/** none for so long; looked at every two seconds, on Workers and Lambda by the schedule */
seconds: number; filter?: Filter }; 
/** called with each alert, signed and retried by Standard Webhooks */
webhook?: { url: string; 
/** `whsec_…`; by default made, and shown once */
secret?: string; 
/** plain HTTP and private addresses; admins only */
allow_private?: boolean }; 
/** quiet for so long after it fired; 60 by default, of a rate its window at least */
cooldown_seconds?: number }; reply: { name: string; 
/** events of a stream as they came in, what came of them, or what a pipeline made of events */
on: { stream: string } | { results: string } | { pipeline: string }; when: { type: string } & { [name: string]: unknown }; webhook?: { url: string; secret?: string; allow_private?: boolean }; cooldown_seconds: number; created_at: string; updated_at: string } }

/** Read an alert rule */
'GET /v1/alerts/{name}': { path: { 
/** name of the rule */
name: string }; reply: { name: string; 
/** events of a stream as they came in, what came of them, or what a pipeline made of events */
on: { stream: string } | { results: string } | { pipeline: string }; when: { type: string } & { [name: string]: unknown }; webhook?: { url: string; secret?: string; allow_private?: boolean }; cooldown_seconds: number; created_at: string; updated_at: string } }

/** Remove an alert rule */
'DELETE /v1/alerts/{name}': { path: { 
/** name of the rule */
name: string }; reply: undefined }

/** Webhooks that were not taken, of all tenants, oldest first, in pages */
'GET /v1/deliveries/dead': { query?: { 
/** the last one of the page before, or its `next` */
after?: string; 
/** at most so many */
limit?: number }; reply: { data: Array<{ 
/** what a replay names */
id: string; tenant: string; webhook_id: string; url: string; cause: string; attempts: number; at: string }>; 
/** the `after` of the next page */
next: string | null } }

/** Send them anew, with all attempts */
'POST /v1/deliveries/dead/replay': { body: { ids: Array<string> }; reply: { ids: Array<string> } }

/** List schedules, and how their last runs went */
'GET /v1/schedules': { reply: { data: Array<{ name: string; next_run: string | null; last_run: { planned: string; started: string; finished: string; status: "ok" | "failed"; accepted: number; duplicates: number; 
/** what the target does not take */
refused: number; first_refusal?: { id: string; message: string }; 
/** there is more to read; it goes on at once */
more?: boolean; error?: { code: string; message: string } } | null; last_error: { code: string; message: string; at: string } | null; consecutive_failures: number } & { [name: string]: unknown }> } }

/** Set a schedule: an event, or a source to pull, at its times · Runs in the name of the key that sets it. Every due time is run once across all instances; times that were missed are one run. */
'PUT /v1/schedules/{name}': { path: { 
/** name of the schedule */
name: string }; body: { 
/** five fields */
cron?: string; 
/** IANA’s name; UTC by default */
time_zone?: string; 
/** instead of `cron` */
every_seconds?: number; source: { type: "event"; stream?: string; 
/** instead of `stream`: it takes the event up in a step of its own */
agent?: string; 
/** `hub.schedule` by default */
event_type?: string; data?: unknown } | { type: "http-json"; 
/** plain HTTP, and addresses that are not public; needs an admin */
allow_private?: boolean; 
/** of one answer; 5 MiB by default */
max_bytes?: number; 
/** that one run reads; 20 by default */
max_pages?: number; 
/** for one whole answer; 20 by default */
timeout_seconds?: number; 
/** `hub.pulled.<type>` by default */
event_type?: string; url: string; 
/** secret ones are stored encrypted and not shown again */
headers?: { [name: string]: string }; 
/** dotted path to the list; by default the body is the list */
items?: string; 
/** in an item; `id` by default, and where there is none a hash of the item */
id?: string; 
/** in an item */
time?: string; 
/** in an item, for an index; `text` by default */
text?: string; 
/** in the body: what leads to the next page; by default a `Link` header does */
next?: string; 
/** query parameter for what `next` found, where that is no URL */
next_parameter?: string; 
/** asks for what is newer: sends the greatest value at `path` in the items so far */
since?: { parameter: string; path: string } } | { type: "rss"; 
/** plain HTTP, and addresses that are not public; needs an admin */
allow_private?: boolean; 
/** of one answer; 5 MiB by default */
max_bytes?: number; 
/** that one run reads; 20 by default */
max_pages?: number; 
/** for one whole answer; 20 by default */
timeout_seconds?: number; 
/** `hub.pulled.<type>` by default */
event_type?: string; url: string; 
/** secret ones are stored encrypted and not shown again */
headers?: { [name: string]: string } } | { type: "s3"; 
/** plain HTTP, and addresses that are not public; needs an admin */
allow_private?: boolean; 
/** of one answer; 5 MiB by default */
max_bytes?: number; 
/** that one run reads; 20 by default */
max_pages?: number; 
/** for one whole answer; 20 by default */
timeout_seconds?: number; 
/** `hub.pulled.<type>` by default */
event_type?: string; 
/** of the service; by default AWS’s of the region */
endpoint?: string; 
/** `us-east-1` by default */
region?: string; bucket: string; prefix?: string; access_key_id?: string; 
/** stored encrypted and not shown again */
secret_access_key?: string; 
/** stored encrypted and not shown again */
session_token?: string; 
/** `changes` (default): new keys and new ETags; `append`: keys that sort after all earlier ones */
listing?: "changes" | "append"; 
/** text objects up to so many bytes come with their `content` */
fetch_content?: number }; 
/** where what was pulled goes */
target?: { stream: string } | { index: string }; enabled?: boolean }; reply: { name: string; next_run: string | null; last_run: { planned: string; started: string; finished: string; status: "ok" | "failed"; accepted: number; duplicates: number; 
/** what the target does not take */
refused: number; first_refusal?: { id: string; message: string }; 
/** there is more to read; it goes on at once */
more?: boolean; error?: { code: string; message: string } } | null; last_error: { code: string; message: string; at: string } | null; consecutive_failures: number } & { [name: string]: unknown } }

/** Read a schedule, and how its last run went */
'GET /v1/schedules/{name}': { path: { 
/** name of the schedule */
name: string }; reply: { name: string; next_run: string | null; last_run: { planned: string; started: string; finished: string; status: "ok" | "failed"; accepted: number; duplicates: number; 
/** what the target does not take */
refused: number; first_refusal?: { id: string; message: string }; 
/** there is more to read; it goes on at once */
more?: boolean; error?: { code: string; message: string } } | null; last_error: { code: string; message: string; at: string } | null; consecutive_failures: number } & { [name: string]: unknown } }

/** Remove a schedule */
'DELETE /v1/schedules/{name}': { path: { 
/** name of the schedule */
name: string }; reply: undefined }

/** Run a schedule now, off or on · Answers when the run is over, at the latest after some 20 s; 409 where it is running already. */
'POST /v1/schedules/{name}/run': { path: { 
/** name of the schedule */
name: string }; reply: { planned: string; started: string; finished: string; status: "ok" | "failed"; accepted: number; duplicates: number; 
/** what the target does not take */
refused: number; first_refusal?: { id: string; message: string }; 
/** there is more to read; it goes on at once */
more?: boolean; error?: { code: string; message: string } } }

/** Queue one job or several */
'POST /v1/queues/{queue}/jobs': { path: { 
/** name of the queue; it is there once a job is */
queue: string }; body: Array<{ 
/** the same id is the same job, while the queue or its result knows it */
id?: string; 
/** as of streams: `type` names it, the other fields are its own */
handler: { type: string } & { [name: string]: unknown }; data?: unknown; retry?: { 
/** in all; 8 by default */
attempts?: number; 
/** 1 by default, doubled each time */
first_seconds?: number; 
/** 300 by default */
longest_seconds?: number } }>; reply: { accepted: number; duplicates: number; jobs: Array<{ id: string; 
/** for `GET /v1/results/{id}` */
result_id: string }> } }

/** How long a queue is */
'GET /v1/queues/{queue}': { path: { 
/** name of the queue; it is there once a job is */
queue: string }; reply: { waiting: number; 
/** worked on now, or waiting for another attempt */
leased: number; dead: number } }

/** Jobs that were given up */
'GET /v1/queues/{queue}/dead': { path: { 
/** name of the queue; it is there once a job is */
queue: string }; query?: { 
/** at most so many */
limit?: number }; reply: { data: Array<{ id: string; cause: string; attempts: number; at: string }> } }

/** Put jobs that were given up back into their queue */
'POST /v1/queues/{queue}/dead/replay': { path: { 
/** name of the queue; it is there once a job is */
queue: string }; body: { ids: Array<string> }; reply: { replayed: Array<string> } }

/** How many events there are, and how many wait */
'GET /v1/events/{stream}/stats': { path: { 
/** name of the stream; it is there once an event is */
stream: string }; reply: { length: number; groups: Array<{ name: string; 
/** not yet read; null where Redis does not know */
lag: number | null; 
/** read, and not yet done with */
pending: number }>; dead: number } }

/** What came of an event; waits for it where `wait_seconds` says so */
'GET /v1/results/{id}': { path: { 
/** the `result_id` of an event or job */
id: string }; query?: { 
/** wait so long for it */
wait_seconds?: number }; reply: { id: string; stream: string; event_id: string; status: "done" | "failed"; result?: unknown; error?: { message: string }; at: string; attempts: number } & { [name: string]: unknown } }

/** The process lives */
'GET /v2/health/live': { reply: { live: true } }

/** Models can be loaded: Redis answers */
'GET /v2/health/ready': { reply: { live: true; ready: boolean } }

/** Describe the server */
'GET /v2': { reply: { name: string; version: string; extensions: Array<string> } }

/** List models by name */
'GET /v2/models': { reply: { data: Array<{ name: string; 
/** the greatest first */
versions: Array<string>; 
/** label → version */
labels: { [name: string]: string }; default_version: string }> } }

/** Describe a model or one of its versions */
'GET /v2/models/{model}': { path: { 
/** name of the model */
model: string }; reply: { name: string; 
/** the greatest first */
versions: Array<string>; 
/** label → version */
labels: { [name: string]: string }; default_version: string; version: string; platform: string; inputs: Array<{ name: string; datatype: "BOOL" | "UINT8" | "UINT16" | "UINT32" | "UINT64" | "INT8" | "INT16" | "INT32" | "INT64" | "FP16" | "FP32" | "FP64"; 
/** -1: any */
shape: Array<number> }>; outputs: Array<{ name: string; datatype: "BOOL" | "UINT8" | "UINT16" | "UINT32" | "UINT64" | "INT8" | "INT16" | "INT32" | "INT64" | "FP16" | "FP32" | "FP64"; 
/** -1: any */
shape: Array<number> }>; 
/** rows of different requests that may be run together */
max_batch: number; 
/** in bytes */
size: number; sha256: string; created_at: string } }

/** Whether a model can answer; loads it where it is not loaded yet */
'GET /v2/models/{model}/ready': { path: { 
/** name of the model */
model: string }; reply: { name: string; ready: boolean } }

/** Describe a model or one of its versions */
'GET /v2/models/{model}/versions/{version}': { path: { 
/** name of the model */
model: string; 
/** of the model */
version: string }; reply: { name: string; 
/** the greatest first */
versions: Array<string>; 
/** label → version */
labels: { [name: string]: string }; default_version: string; version: string; platform: string; inputs: Array<{ name: string; datatype: "BOOL" | "UINT8" | "UINT16" | "UINT32" | "UINT64" | "INT8" | "INT16" | "INT32" | "INT64" | "FP16" | "FP32" | "FP64"; 
/** -1: any */
shape: Array<number> }>; outputs: Array<{ name: string; datatype: "BOOL" | "UINT8" | "UINT16" | "UINT32" | "UINT64" | "INT8" | "INT16" | "INT32" | "INT64" | "FP16" | "FP32" | "FP64"; 
/** -1: any */
shape: Array<number> }>; 
/** rows of different requests that may be run together */
max_batch: number; 
/** in bytes */
size: number; sha256: string; created_at: string } }

/** Add a version of a model; it never changes, and the same bytes again are no change */
'PUT /v2/models/{model}/versions/{version}': { path: { 
/** name of the model */
model: string; 
/** of the model */
version: string }; query?: { 
/** of the bytes; `onnx` by default */
format?: "onnx" | "tensorflow" | "torch" | "tflite"; 
/** JSON: `[{name, datatype, shape}]`, where the format does not say them */
inputs?: string; 
/** likewise */
outputs?: string; 
/** by default 64 where a trial shows that rows do not depend on each other, else 1 */
max_batch?: number }; raw: 'application/octet-stream'; reply: { name: string; 
/** the greatest first */
versions: Array<string>; 
/** label → version */
labels: { [name: string]: string }; default_version: string; version: string; platform: string; inputs: Array<{ name: string; datatype: "BOOL" | "UINT8" | "UINT16" | "UINT32" | "UINT64" | "INT8" | "INT16" | "INT32" | "INT64" | "FP16" | "FP32" | "FP64"; 
/** -1: any */
shape: Array<number> }>; outputs: Array<{ name: string; datatype: "BOOL" | "UINT8" | "UINT16" | "UINT32" | "UINT64" | "INT8" | "INT16" | "INT32" | "INT64" | "FP16" | "FP32" | "FP64"; 
/** -1: any */
shape: Array<number> }>; 
/** rows of different requests that may be run together */
max_batch: number; 
/** in bytes */
size: number; sha256: string; created_at: string } }

/** Delete a version that no label leads to */
'DELETE /v2/models/{model}/versions/{version}': { path: { 
/** name of the model */
model: string; 
/** of the model */
version: string }; reply: undefined }

/** Whether a model can answer; loads it where it is not loaded yet */
'GET /v2/models/{model}/versions/{version}/ready': { path: { 
/** name of the model */
model: string; 
/** of the model */
version: string }; reply: { name: string; ready: boolean } }

/** Lead a label to a version; `stable` answers those who name no version */
'PUT /v2/models/{model}/labels/{label}': { path: { 
/** name of the model */
model: string; 
/** name of the label */
label: string }; body: { version: string }; reply: { name: string; label: string; version: string } }

/** Remove a label; its version stays */
'DELETE /v2/models/{model}/labels/{label}': { path: { 
/** name of the model */
model: string; 
/** name of the label */
label: string }; reply: undefined }

/** List pipelines by name */
'GET /v2/pipelines': { reply: { data: Array<{ name: string; created_at: string; updated_at: string } & { [name: string]: unknown }> } }

/** Set a pipeline; every instance follows within a second · Inputs (and features of their entities) → `preprocess` → `models` → `postprocess` → results. Models of one runtime are one call of it. It is checked against its models as they are now. */
'PUT /v2/pipelines/{name}': { path: { 
/** name of the pipeline */
name: string }; body: { 
/** by name: a type such as `"number"`, or more of it */
inputs: { [name: string]: { type?: "number" | "boolean" | "text" | "vector"; 
/** of a vector */
dimensions?: number; 
/** where an event has it, dotted; by default `data.<name>` */
path?: string; 
/** stands in where there is none */
default?: number | boolean | string | Array<number> } }; 
/** looked up in the feature store */
features?: { [name: string]: { view: string; 
/** the input that says whose features */
entity: string; 
/** what is older is as if it were not there */
max_age_seconds?: number; 
/** by the feature’s name; in the steps it is called `<look-up>.<feature>` */
values: { [name: string]: { type?: "number" | "boolean" | "text" | "vector"; 
/** of a vector */
dimensions?: number; default?: number | boolean | string | Array<number> } } } }; preprocess?: Array<{ op: "scale"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; 
/** (x - mean) / std, each one number, or several in turn: one for each place */
mean?: number | Array<number>; std?: number | Array<number>; min?: number | Array<number>; 
/** or (x - min) / (max - min) */
max?: number | Array<number> } | { op: "clip"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; min?: number; max?: number } | { op: "log"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; 
/** ln(x + offset); 1 where zero is to be zero */
offset?: number } | { op: "one_hot"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; categories: Array<string | number>; unknown?: "error" | "zeros" } | { op: "bucketize"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; 
/** makes how many of them are at most x */
boundaries: Array<number> } | { op: "window"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; 
/** the input that says whose window */
by: string; 
/** the latest so many values, the oldest first */
length: number; 
/** stands in while there are fewer: the oldest one, or a number */
fill?: "first" | number; 
/** kept for so long after the last one */
ttl_seconds?: number } | { op: "embed"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; 
/** as `/v1/embeddings` takes it */
model?: string; 
/** needed where the model’s are not known */
dimensions?: number } | { op: "concat"; from: Array<string>; as: string; 
/** of the tensor that a model takes */
type?: "FP32" | "FP64" | "BOOL" | "UINT8" | "UINT16" | "UINT32" | "UINT64" | "INT8" | "INT16" | "INT32" | "INT64"; 
/** of a row, without the batch; by default all in one dimension */
shape?: Array<number> }>; 
/** each after those whose outputs it takes */
models: Array<{ model: string; 
/** or a label; by default as without a pipeline */
version?: string; 
/** the model’s input → a value or an earlier model’s output; by default of the same name */
inputs?: { [name: string]: string }; 
/** the model’s output → what it is called here; by default the same */
outputs?: { [name: string]: string } }>; postprocess?: Array<{ op: "softmax"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string } | { op: "sigmoid"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string } | { op: "round"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; digits?: number } | { op: "pick"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; index: number | Array<number> } | { op: "argmax"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; 
/** by default the place, from 0 */
labels?: Array<string> } | { op: "threshold"; 
/** a value */
from: string; 
/** what it makes; by default it takes the place of `from` */
as?: string; 
/** true from here on */
value: number; 
/** in place of false and true */
labels?: Array<string> }>; 
/** by default what `postprocess` makes, else what the models make */
results?: Array<string>; 
/** alert rules over the results of streams, named `<pipeline>.<alert>` */
alerts?: Array<{ name: string; when: { 
/** a result */
field: string; op: "eq" | "ne" | "gt" | "gte" | "lt" | "lte"; value: string | number | boolean }; 
/** quiet for so long after it fired; 60 by default */
cooldown_seconds?: number }>; 
/** the dataset that inputs, features and results go to */
record?: string }; reply: { name: string; created_at: string; updated_at: string } & { [name: string]: unknown } }

/** Read a pipeline */
'GET /v2/pipelines/{name}': { path: { 
/** name of the pipeline */
name: string }; reply: { name: string; created_at: string; updated_at: string } & { [name: string]: unknown } }

/** Delete a pipeline and its alert rules */
'DELETE /v2/pipelines/{name}': { path: { 
/** name of the pipeline */
name: string }; reply: undefined }

/** Run a pipeline for one row, or for up to 1,000 · A bad row fails the whole request; its place is in `param`. */
'POST /v2/pipelines/{name}': { path: { 
/** name of the pipeline */
name: string }; body: { 
/** by name, as the definition says */
inputs?: { [name: string]: unknown }; 
/** windows and the dataset count a row of the same id once; random by default */
id?: string; 
/** when it was so; now by default */
time?: string; 
/** or many, in the order that they came in */
rows?: Array<{ 
/** by name, as the definition says */
inputs: { [name: string]: unknown }; 
/** windows and the dataset count a row of the same id once; random by default */
id?: string; 
/** when it was so; now by default */
time?: string }> }; reply: { pipeline: string; models: Array<{ name: string; version: string }>; outputs?: { [name: string]: number | string | boolean | Array<number> }; data?: Array<{ outputs: { [name: string]: number | string | boolean | Array<number> } }> } }

/** Run a model; without a version the label `stable` leads, else the greatest answers · With `Inference-Header-Content-Length` (bytes of the JSON) the bytes of inputs follow the JSON: little-endian, row-major, in its order. */
'POST /v2/models/{model}/infer': { path: { 
/** name of the model */
model: string }; body: { 
/** comes back in the reply */
id?: string; parameters?: { binary_data_output?: boolean } & { [name: string]: unknown }; inputs: Array<{ name: string; 
/** `FP32`, `INT64`, …; no `BYTES`: models here take numbers */
datatype: string; shape: Array<number>; parameters?: { 
/** its bytes follow the JSON, so many of them */
binary_data_size?: number } & { [name: string]: unknown }; 
/** flat, or nested as the shape says */
data?: unknown } & { [name: string]: unknown }>; 
/** all of them by default */
outputs?: Array<{ name: string; parameters?: { binary_data?: boolean } & { [name: string]: unknown } } & { [name: string]: unknown }> } & { [name: string]: unknown }; raw: 'application/octet-stream'; reply: { model_name: string; model_version: string; id?: string; outputs: Array<{ name: string; datatype: string; shape: Array<number>; data?: Array<number | boolean> } & { [name: string]: unknown }> } }

/** Run a model; without a version the label `stable` leads, else the greatest answers · With `Inference-Header-Content-Length` (bytes of the JSON) the bytes of inputs follow the JSON: little-endian, row-major, in its order. */
'POST /v2/models/{model}/versions/{version}/infer': { path: { 
/** name of the model */
model: string; 
/** of the model */
version: string }; body: { 
/** comes back in the reply */
id?: string; parameters?: { binary_data_output?: boolean } & { [name: string]: unknown }; inputs: Array<{ name: string; 
/** `FP32`, `INT64`, …; no `BYTES`: models here take numbers */
datatype: string; shape: Array<number>; parameters?: { 
/** its bytes follow the JSON, so many of them */
binary_data_size?: number } & { [name: string]: unknown }; 
/** flat, or nested as the shape says */
data?: unknown } & { [name: string]: unknown }>; 
/** all of them by default */
outputs?: Array<{ name: string; parameters?: { binary_data?: boolean } & { [name: string]: unknown } } & { [name: string]: unknown }> } & { [name: string]: unknown }; raw: 'application/octet-stream'; reply: { model_name: string; model_version: string; id?: string; outputs: Array<{ name: string; datatype: string; shape: Array<number>; data?: Array<number | boolean> } & { [name: string]: unknown }> } }

/** List feature views by name */
'GET /v1/feature-views': { reply: { data: Array<{ name: string; 
/** false: it learns features from what is written */
declared: boolean; features: { [name: string]: { type: "float" | "int" | "bool" | "string" | "timestamp" | "vector"; 
/** of a vector */
dimensions?: number; 
/** of a float or int */
min?: number; max?: number; 
/** stands in where no value is known */
default?: number | boolean | string | Array<number> } }; ttl_seconds?: number; created_at: string; updated_at: string }> } }

/** Declare a feature view, or replace its declaration · A feature’s type is for good. One that is left out is no longer served, and is served again when it comes back. */
'PUT /v1/feature-views/{view}': { path: { 
/** name of the feature view */
view: string }; body: { 
/** by name: a type such as `"int"`, or more of it */
features: { [name: string]: { type: "float" | "int" | "bool" | "string" | "timestamp" | "vector"; 
/** of a vector */
dimensions?: number; 
/** of a float or int */
min?: number; max?: number; 
/** stands in where no value is known */
default?: number | boolean | string | Array<number> } }; 
/** a value whose event time is longer ago is not served; without it values stay */
ttl_seconds?: number }; reply: { name: string; 
/** false: it learns features from what is written */
declared: boolean; features: { [name: string]: { type: "float" | "int" | "bool" | "string" | "timestamp" | "vector"; 
/** of a vector */
dimensions?: number; 
/** of a float or int */
min?: number; max?: number; 
/** stands in where no value is known */
default?: number | boolean | string | Array<number> } }; ttl_seconds?: number; created_at: string; updated_at: string } }

/** Read a feature view */
'GET /v1/feature-views/{view}': { path: { 
/** name of the feature view */
view: string }; reply: { name: string; 
/** false: it learns features from what is written */
declared: boolean; features: { [name: string]: { type: "float" | "int" | "bool" | "string" | "timestamp" | "vector"; 
/** of a vector */
dimensions?: number; 
/** of a float or int */
min?: number; max?: number; 
/** stands in where no value is known */
default?: number | boolean | string | Array<number> } }; ttl_seconds?: number; created_at: string; updated_at: string } }

/** Delete a feature view with all its entities */
'DELETE /v1/feature-views/{view}': { path: { 
/** name of the feature view */
view: string }; reply: undefined }

/** Record up to 1,000 rows: an array, or one a line · A row without an id gets a random one, with an Idempotency-Key always the same one. A dataset begins with its first row. */
'POST /v1/datasets/{name}/rows': { path: { 
/** name of the dataset */
name: string }; body: Array<{ 
/** a row of the same id is recorded once; random by default */
id?: string; 
/** when its features were served; now by default */
at?: string; entity?: string; 
/** as they were served */
features: { [name: string]: Json0 }; output?: Json1; model?: string; label?: Json2; 
/** from when on the label was known; now by default */
label_at?: string }>; raw: 'application/x-ndjson'; reply: { accepted: number; 
/** recorded before, by id: not again */
duplicates: number; 
/** in the order that they came in */
rows: Array<{ id: string }> } }

/** Label up to 1,000 rows: an array, or one a line */
'POST /v1/datasets/{name}/labels': { path: { 
/** name of the dataset */
name: string }; body: Array<{ label: Json0; 
/** from when on it was known; now by default */
at?: string; 
/** of the row */
id: string }>; raw: 'application/x-ndjson'; reply: { labelled: number; 
/** ids of rows that are not there */
missing: Array<string> } }

/** Label a row; a correction counts from its own time on */
'PUT /v1/datasets/{name}/rows/{id}/label': { path: { 
/** name of the dataset */
name: string; 
/** id of the row */
id: string }; body: { label: Json0; 
/** from when on it was known; now by default */
at?: string }; reply: undefined }

/** Export rows with their labels, one a line, in the order in which they were recorded · Point-in-time correct: a row has the features that were served at its time, whatever became of them, and with `as_of` only what was known then. Read as the caller takes it. A transfer that breaks off is continued with `after`, the id of the last whole line. */
'GET /v1/datasets/{name}': { path: { 
/** name of the dataset */
name: string }; query?: { 
/** the least time (`at`) of a row */
from?: string; 
/** the time before which a row is */
to?: string; 
/** only rows with a label, or only those without */
labelled?: "true" | "false"; 
/** rows of later times, and labels that came to be known only later, are left out */
as_of?: string; 
/** the id of a row: only those recorded after it */
after?: string; 
/** at most so many */
limit?: number }; reply: Response }

/** Set the bounds of a dataset; what is left out is as by default */
'PUT /v1/datasets/{name}': { path: { 
/** name of the dataset */
name: string }; body: { 
/** 100,000 by default; the oldest go where there are more */
max_rows?: number; 
/** since a row was recorded; any by default */
max_age_days?: number }; reply: { name: string; max_rows: number; max_age_days?: number } }

/** Delete a dataset */
'DELETE /v1/datasets/{name}': { path: { 
/** name of the dataset */
name: string }; reply: undefined }

/** List datasets by name */
'GET /v1/datasets': { reply: { data: Array<{ name: string; max_rows: number; max_age_days?: number }> } }

/** How large a dataset is */
'GET /v1/datasets/{name}/stats': { path: { 
/** name of the dataset */
name: string }; reply: { name: string; max_rows: number; max_age_days?: number; rows: number; first_recorded_at: string | null; last_recorded_at: string | null } }

/** Compare what a model is served with what it was trained on, feature by feature */
'GET /v1/datasets/{name}/skew': { path: { 
/** name of the dataset */
name: string }; query: { 
/** from this time on, of what it is compared with */
reference_from?: string; 
/** until here the model was trained */
reference_to: string; 
/** from here on it is served */
from: string; 
/** up to this time */
to?: string }; reply: { reference: { rows: number; 
/** the figures are of these, chosen by chance */
sampled: number }; current: { rows: number; 
/** the figures are of these, chosen by chance */
sampled: number }; 
/** the first 500 by name */
features: { [name: string]: { type: "numeric"; 
/** part of the rows without a value */
missing_rate: { reference: number; current: number }; reference: { count: number; mean: number; std: number; min: number; max: number; quantiles: { [name in "p05" | "p25" | "p50" | "p75" | "p95"]?: number } } | null; current: { count: number; mean: number; std: number; min: number; max: number; quantiles: { [name in "p05" | "p25" | "p50" | "p75" | "p95"]?: number } } | null; 
/** population stability index: below 0.1 no change, above 0.25 a great one; null where a side is empty */
psi: number | null; 
/** Kolmogorov–Smirnov statistic, from 0 to 1 */
ks: number | null } | { type: "categorical"; 
/** part of the rows without a value */
missing_rate: { reference: number; current: number }; reference: { count: number; 
/** of the 50 most frequent; `…` stands for the others */
shares: { [name: string]: number } }; current: { count: number; 
/** of the 50 most frequent; `…` stands for the others */
shares: { [name: string]: number } }; 
/** population stability index: below 0.1 no change, above 0.25 a great one; null where a side is empty */
psi: number | null } | { type: "other"; 
/** part of the rows without a value */
missing_rate: { reference: number; current: number } } }; output: { type: "numeric"; 
/** part of the rows without a value */
missing_rate: { reference: number; current: number }; reference: { count: number; mean: number; std: number; min: number; max: number; quantiles: { [name in "p05" | "p25" | "p50" | "p75" | "p95"]?: number } } | null; current: { count: number; mean: number; std: number; min: number; max: number; quantiles: { [name in "p05" | "p25" | "p50" | "p75" | "p95"]?: number } } | null; 
/** population stability index: below 0.1 no change, above 0.25 a great one; null where a side is empty */
psi: number | null; 
/** Kolmogorov–Smirnov statistic, from 0 to 1 */
ks: number | null } | { type: "categorical"; 
/** part of the rows without a value */
missing_rate: { reference: number; current: number }; reference: { count: number; 
/** of the 50 most frequent; `…` stands for the others */
shares: { [name: string]: number } }; current: { count: number; 
/** of the 50 most frequent; `…` stands for the others */
shares: { [name: string]: number } }; 
/** population stability index: below 0.1 no change, above 0.25 a great one; null where a side is empty */
psi: number | null } | { type: "other"; 
/** part of the rows without a value */
missing_rate: { reference: number; current: number } } } }

/** Write features of an entity · A view that nobody declared learns its features from what is written, with types that stay: a number is a float, an array of numbers a vector. A declared view takes no others. */
'PUT /v1/features/{view}/{entity}': { path: { 
/** name of the feature view */
view: string; 
/** id of the entity */
entity: string }; body: { 
/** by name; null: there is no value any more */
features: { [name: string]: unknown }; 
/** when they were so; now by default. What is older than the value that is there changes nothing */
event_time?: string }; reply: { entity: string; event_time: string; written: Array<string>; 
/** not written: something newer of them is known */
outdated: Array<string> } }

/** Read all features of an entity, with the event time of each */
'GET /v1/features/{view}/{entity}': { path: { 
/** name of the feature view */
view: string; 
/** id of the entity */
entity: string }; reply: { entity: string; 
/** the value, else the default, else null; null as a whole for an unknown entity without defaults */
features: { [name: string]: number | boolean | string | Array<number> | null } | null; 
/** of the newest of these features */
event_time: string | null; 
/** since `event_time` */
age_seconds: number | null; 
/** those that are older than `max_age_seconds` */
stale: Array<string>; event_times?: { [name: string]: string } } }

/** Delete an entity */
'DELETE /v1/features/{view}/{entity}': { path: { 
/** name of the feature view */
view: string; 
/** id of the entity */
entity: string }; reply: undefined }

/** Write features of up to 1,000 entities · All are checked before the first one is written. It may be repeated. */
'POST /v1/features/{view}': { path: { 
/** name of the feature view */
view: string }; body: { rows: Array<{ 
/** by name; null: there is no value any more */
features: { [name: string]: unknown }; 
/** when they were so; now by default. What is older than the value that is there changes nothing */
event_time?: string; entity: string }> }; reply: { data: Array<{ entity: string; event_time: string; written: Array<string>; 
/** not written: something newer of them is known */
outdated: Array<string> }> } }

/** Read features of up to 1,000 entities at once */
'POST /v1/features/{view}/query': { path: { 
/** name of the feature view */
view: string }; body: { entities: Array<string>; 
/** all of the view’s by default */
features?: Array<string>; 
/** names of older values are listed in `stale` */
max_age_seconds?: number; 
/** adds the event time of each feature */
include_event_times?: boolean }; reply: { data: Array<{ entity: string; 
/** the value, else the default, else null; null as a whole for an unknown entity without defaults */
features: { [name: string]: number | boolean | string | Array<number> | null } | null; 
/** of the newest of these features */
event_time: string | null; 
/** since `event_time` */
age_seconds: number | null; 
/** those that are older than `max_age_seconds` */
stale: Array<string>; event_times?: { [name: string]: string } }> } }

/** Make a hub key */
'POST /v1/keys': { body: { tenant: string; name?: string; 
/** functions it may call, and `admin`; all functions by default */
scopes?: Array<string>; 
/** `provider/model`s it may ask; all by default */
models?: Array<string>; 
/** realtime channels: `orders`, or `agent:*` for all that begin so; all of the tenant by default */
channels?: { read?: Array<string>; write?: Array<string> }; limits?: Array<{ on: "requests" | "tokens"; limit: number; window_seconds: number; 
/** of request limits; `sliding_window` by default */
algorithm?: "sliding_window" | "fixed_window" | "token_bucket" }>; budget?: { usd: number; 
/** UTC days and months */
period: "daily" | "monthly" | "total" } }; reply: { id: string; tenant: string; name: string | null; scopes: Array<string> | null; models: Array<string> | null; channels: { read?: Array<string>; write?: Array<string> } | null; limits: Array<{ on: "requests" | "tokens"; limit: number; window_seconds: number; 
/** of request limits; `sliding_window` by default */
algorithm?: "sliding_window" | "fixed_window" | "token_bucket" }> | null; budget: { usd: number; 
/** UTC days and months */
period: "daily" | "monthly" | "total"; spent_usd?: number; held_usd?: number } | null; created_at: string; revoked_at: string | null; 
/** shown once */
key: string } }

/** List hub keys */
'GET /v1/keys': { query?: { 
/** by default that of the key */
tenant?: string }; reply: { data: Array<{ id: string; tenant: string; name: string | null; scopes: Array<string> | null; models: Array<string> | null; channels: { read?: Array<string>; write?: Array<string> } | null; limits: Array<{ on: "requests" | "tokens"; limit: number; window_seconds: number; 
/** of request limits; `sliding_window` by default */
algorithm?: "sliding_window" | "fixed_window" | "token_bucket" }> | null; budget: { usd: number; 
/** UTC days and months */
period: "daily" | "monthly" | "total"; spent_usd?: number; held_usd?: number } | null; created_at: string; revoked_at: string | null }> } }

/** Read a hub key */
'GET /v1/keys/{id}': { path: { 
/** id of the hub key; not the key itself */
id: string }; reply: { id: string; tenant: string; name: string | null; scopes: Array<string> | null; models: Array<string> | null; channels: { read?: Array<string>; write?: Array<string> } | null; limits: Array<{ on: "requests" | "tokens"; limit: number; window_seconds: number; 
/** of request limits; `sliding_window` by default */
algorithm?: "sliding_window" | "fixed_window" | "token_bucket" }> | null; budget: { usd: number; 
/** UTC days and months */
period: "daily" | "monthly" | "total"; spent_usd?: number; held_usd?: number } | null; created_at: string; revoked_at: string | null } }

/** Revoke a hub key */
'DELETE /v1/keys/{id}': { path: { 
/** id of the hub key; not the key itself */
id: string }; reply: undefined }

/** Set limits and a budget that hold for all keys of a tenant together */
'PUT /v1/tenants/{tenant}': { path: { 
/** name of the tenant */
tenant: string }; body: { limits?: Array<{ on: "requests" | "tokens"; limit: number; window_seconds: number; 
/** of request limits; `sliding_window` by default */
algorithm?: "sliding_window" | "fixed_window" | "token_bucket" }>; budget?: { usd: number; 
/** UTC days and months */
period: "daily" | "monthly" | "total" } }; reply: { limits?: Array<{ on: "requests" | "tokens"; limit: number; window_seconds: number; 
/** of request limits; `sliding_window` by default */
algorithm?: "sliding_window" | "fixed_window" | "token_bucket" }>; budget?: { usd: number; 
/** UTC days and months */
period: "daily" | "monthly" | "total" } } }

/** Read a tenant’s limits and budget */
'GET /v1/tenants/{tenant}': { path: { 
/** name of the tenant */
tenant: string }; reply: { limits?: Array<{ on: "requests" | "tokens"; limit: number; window_seconds: number; 
/** of request limits; `sliding_window` by default */
algorithm?: "sliding_window" | "fixed_window" | "token_bucket" }>; budget?: { usd: number; 
/** UTC days and months */
period: "daily" | "monthly" | "total" } } }

/** Erase a tenant: its hub keys at once, all else in the background */
'DELETE /v1/tenants/{tenant}': { path: { 
/** name of the tenant */
tenant: string }; reply: { tenant: string; status: "erasing" | "erased"; requested_at: string; erased_at: string | null; 
/** removed so far */
keys: number; 
/** of keys of the whole hub */
members: number; 
/** of the vector store */
indexes: number; 
/** complete looks at everything */
passes: number; 
/** why the last attempt broke off; it is made again */
problem: string | null; 
/** of the same name */
earlier: Array<{ requested_at: string; erased_at: string }> } }

/** List a tenant’s model aliases */
'GET /v1/model-routes': { query?: { 
/** by default that of the key */
tenant?: string }; reply: { data: Array<{ targets: Array<{ 
/** `provider/model` */
model: string; 
/** of the `weighted` strategy */
weight?: number; 
/** one credential of the tenant’s; by default all of them, else the environment’s */
credential?: string; timeouts?: { 
/** until the head of the answer */
connect_ms?: number; 
/** until the first token of a stream */
first_token_ms?: number; 
/** of all tries, until the end */
total_ms?: number } }>; strategy?: "ordered" | "weighted"; 
/** of one target, before the next one’s turn */
retries?: number; stale_if_error_seconds?: number; alias: string }> } }

/** Let a name lead to models: in order, or by weight */
'PUT /v1/model-routes/{alias}': { path: { 
/** the name that leads to models */
alias: string }; query?: { 
/** by default that of the key */
tenant?: string }; body: { targets: Array<{ 
/** `provider/model` */
model: string; 
/** of the `weighted` strategy */
weight?: number; 
/** one credential of the tenant’s; by default all of them, else the environment’s */
credential?: string; timeouts?: { 
/** until the head of the answer */
connect_ms?: number; 
/** until the first token of a stream */
first_token_ms?: number; 
/** of all tries, until the end */
total_ms?: number } }>; strategy?: "ordered" | "weighted"; 
/** of one target, before the next one’s turn */
retries?: number; stale_if_error_seconds?: number }; reply: { targets: Array<{ 
/** `provider/model` */
model: string; 
/** of the `weighted` strategy */
weight?: number; 
/** one credential of the tenant’s; by default all of them, else the environment’s */
credential?: string; timeouts?: { 
/** until the head of the answer */
connect_ms?: number; 
/** until the first token of a stream */
first_token_ms?: number; 
/** of all tries, until the end */
total_ms?: number } }>; strategy?: "ordered" | "weighted"; 
/** of one target, before the next one’s turn */
retries?: number; stale_if_error_seconds?: number; alias: string } }

/** Read a model alias */
'GET /v1/model-routes/{alias}': { path: { 
/** the name that leads to models */
alias: string }; query?: { 
/** by default that of the key */
tenant?: string }; reply: { targets: Array<{ 
/** `provider/model` */
model: string; 
/** of the `weighted` strategy */
weight?: number; 
/** one credential of the tenant’s; by default all of them, else the environment’s */
credential?: string; timeouts?: { 
/** until the head of the answer */
connect_ms?: number; 
/** until the first token of a stream */
first_token_ms?: number; 
/** of all tries, until the end */
total_ms?: number } }>; strategy?: "ordered" | "weighted"; 
/** of one target, before the next one’s turn */
retries?: number; stale_if_error_seconds?: number; alias: string } }

/** Delete a model alias */
'DELETE /v1/model-routes/{alias}': { path: { 
/** the name that leads to models */
alias: string }; query?: { 
/** by default that of the key */
tenant?: string }; reply: undefined }

/** List a tenant’s provider credentials, without what they hold */
'GET /v1/credentials': { query?: { 
/** by default that of the key */
tenant?: string }; reply: { data: Array<{ provider: string; id: string; created_at: string }> } }

/** Store a provider credential of the tenant’s own, encrypted · From then on the tenant’s calls of this provider use its own credentials only. */
'PUT /v1/credentials/{provider}/{id}': { path: { 
/** name of the provider */
provider: string; 
/** name of the credential */
id: string }; query?: { 
/** by default that of the key */
tenant?: string }; body: { api_key: string }; reply: { provider: string; id: string; created_at: string } }

/** Read a provider credential, without what it holds */
'GET /v1/credentials/{provider}/{id}': { path: { 
/** name of the provider */
provider: string; 
/** name of the credential */
id: string }; query?: { 
/** by default that of the key */
tenant?: string }; reply: { provider: string; id: string; created_at: string } }

/** Delete a provider credential */
'DELETE /v1/credentials/{provider}/{id}': { path: { 
/** name of the provider */
provider: string; 
/** name of the credential */
id: string }; query?: { 
/** by default that of the key */
tenant?: string }; reply: undefined }

/** Read a user’s preferences, defaults filled in */
'GET /v1/preferences/{user}': { path: { 
/** id of the user */
user: string }; query?: { 
/** only what the user has chosen */
stored?: "true" | "false" }; reply: { user: string; values: { [name: string]: unknown }; 
/** rises with each change */
version: number; 
/** the realtime channel that tells of changes: `preferences`, `{version, patch}` */
channel: string } }

/** Change some of a user’s preferences · All of it or nothing. Listeners of `channel` are told. */
'PATCH /v1/preferences/{user}': { path: { 
/** id of the user */
user: string }; body: { [name: string]: unknown }; reply: { user: string; values: { [name: string]: unknown }; 
/** rises with each change */
version: number; 
/** the realtime channel that tells of changes: `preferences`, `{version, patch}` */
channel: string } }

/** Say what preferences a tenant’s users have, and of which types · What was chosen before stays as it is. */
'PUT /v1/preference-types': { query?: { 
/** whose users */
tenant?: string }; body: { 
/** JSON Schema of each preference */
types: { [name: string]: { type: "string" | "number" | "integer" | "boolean" | "object" | "array"; 
/** where a user has chosen nothing */
default?: unknown } & { [name: string]: unknown } }; 
/** whether there may be others, of any type */
additional?: boolean }; reply: { 
/** JSON Schema of each preference */
types: { [name: string]: { type: "string" | "number" | "integer" | "boolean" | "object" | "array"; 
/** where a user has chosen nothing */
default?: unknown } & { [name: string]: unknown } }; 
/** whether there may be others, of any type */
additional?: boolean } }

/** Read what preferences a tenant’s users have */
'GET /v1/preference-types': { query?: { 
/** whose users */
tenant?: string }; reply: { 
/** JSON Schema of each preference */
types: { [name: string]: { type: "string" | "number" | "integer" | "boolean" | "object" | "array"; 
/** where a user has chosen nothing */
default?: unknown } & { [name: string]: unknown } }; 
/** whether there may be others, of any type */
additional?: boolean } }

/** Begin a session · A user has 100 at most: the one that was seen longest ago ends. */
'POST /v1/sessions': { body: { 
/** the application’s own name of the user */
user: string; 
/** what the application remembers of it, at most 16 KiB */
data?: { [name: string]: unknown }; 
/** it ends when nobody used it for so long */
idle_seconds?: number; 
/** it ends then, used or not */
absolute_seconds?: number }; reply: { 
/** names it in lists and logs; opens nothing, and stays when it is rotated */
handle: string; user: string; data: { [name: string]: unknown }; 
/** of the data */
version: number; created_at: string; seen_at: string; 
/** each use puts it off */
idle_expires_at: string; expires_at: string; 
/** whoever has it is the user: shown only here */
id: string } }

/** List the sessions of a user */
'GET /v1/sessions': { query: { 
/** the application’s own name of the user */
user: string }; reply: { data: Array<{ 
/** names it in lists and logs; opens nothing, and stays when it is rotated */
handle: string; user: string; data: { [name: string]: unknown }; 
/** of the data */
version: number; created_at: string; seen_at: string; 
/** each use puts it off */
idle_expires_at: string; expires_at: string }> } }

/** End all sessions of a user, one of them, or all but one */
'DELETE /v1/sessions': { query: { 
/** the application’s own name of the user */
user: string; 
/** only this one */
handle?: string; 
/** all but this one */
except?: string }; reply: { revoked: number } }

/** Whose session it is; puts off its idle end · The path has its id, or `current` where `x-hub-session` holds it: paths are written to logs of servers in between. */
'GET /v1/sessions/{id}': { path: { 
/** the session’s id: a secret of its user */
id: string }; reply: { 
/** names it in lists and logs; opens nothing, and stays when it is rotated */
handle: string; user: string; data: { [name: string]: unknown }; 
/** of the data */
version: number; created_at: string; seen_at: string; 
/** each use puts it off */
idle_expires_at: string; expires_at: string } }

/** Change what is remembered of a session */
'PATCH /v1/sessions/{id}': { path: { 
/** the session’s id: a secret of its user */
id: string }; body: { 
/** a JSON merge patch (RFC 7396): `null` removes */
data: { [name: string]: unknown } }; reply: { 
/** names it in lists and logs; opens nothing, and stays when it is rotated */
handle: string; user: string; data: { [name: string]: unknown }; 
/** of the data */
version: number; created_at: string; seen_at: string; 
/** each use puts it off */
idle_expires_at: string; expires_at: string } }

/** End a session */
'DELETE /v1/sessions/{id}': { path: { 
/** the session’s id: a secret of its user */
id: string }; reply: undefined }

/** Give a session another id · The id before ends at once, or after `grace_seconds`. Of several at the same time one wins, the others get 404, or within the grace 409 `session_rotated`. With an Idempotency-Key it may be repeated for ten minutes. Do it whenever the user’s rights change, as after a login. */
'POST /v1/sessions/{id}/rotate': { path: { 
/** the session’s id: a secret of its user */
id: string }; body: { 
/** the id before holds so much longer, for requests in flight */
grace_seconds?: number }; reply: { 
/** names it in lists and logs; opens nothing, and stays when it is rotated */
handle: string; user: string; data: { [name: string]: unknown }; 
/** of the data */
version: number; created_at: string; seen_at: string; 
/** each use puts it off */
idle_expires_at: string; expires_at: string; 
/** whoever has it is the user: shown only here */
id: string } }

/** Read a breaker of an application */
'GET /v1/app-breakers/{name}': { path: { 
/** name of what is called */
name: string }; query?: { 
/** the caller’s own by default; of others: admin */
tenant?: string }; reply: { name: string; tenant: string; state: "closed" | "open" | "half-open"; manual: boolean; 
/** until it changes by itself */
seconds_left: number | null; 
/** calls in its window */
succeeded: number; failed: number } }

/** Open or close a breaker of an application by hand, or leave it to itself */
'POST /v1/app-breakers/{name}': { path: { 
/** name of what is called */
name: string }; query?: { 
/** the caller’s own by default; of others: admin */
tenant?: string }; body: { 
/** `auto`: as its calls decide, from a clean start */
state: "open" | "closed" | "auto"; 
/** then `auto`; absent: until it is set again */
seconds?: number }; reply: { name: string; tenant: string; state: "closed" | "open" | "half-open"; manual: boolean; 
/** until it changes by itself */
seconds_left: number | null; 
/** calls in its window */
succeeded: number; failed: number } }

/** May a call to the target go out? · A half-open breaker admits one call of all who ask, until that one ended or its time is over. */
'POST /v1/app-breakers/{name}/permits': { path: { 
/** name of what is called */
name: string }; query?: { 
/** the caller’s own by default; of others: admin */
tenant?: string }; reply: { 
/** whether one call may go out */
admitted: boolean; 
/** of the one call that a half-open breaker lets out: say with it how that ended */
permit: string | null; state: "closed" | "open" | "half-open"; 
/** to the end of the permit, one’s own or another’s; of an open one, until it admits a call */
seconds_left: number | null } }

/** Tell how calls to the target ended · Each count is counted once more when it is sent again; a permit ends once. What a closed breaker is told within its window decides whether it opens. */
'POST /v1/app-breakers/{name}/calls': { path: { 
/** name of what is called */
name: string }; query?: { 
/** the caller’s own by default; of others: admin */
tenant?: string }; body: { 
/** `success`: the target answered, if only that it refuses. `released`: nothing is known of it */
outcome: "success" | "failure" | "released"; 
/** of equal calls; a permit is of one */
count?: number; permit?: string }; reply: { name: string; tenant: string; state: "closed" | "open" | "half-open"; manual: boolean; 
/** until it changes by itself */
seconds_left: number | null; 
/** calls in its window */
succeeded: number; failed: number } }

/** List the breakers that counted a failure or were set within a day */
'GET /v1/breakers': { reply: { data: Array<{ name: string; tenant: string; state: "closed" | "open" | "half-open"; manual: boolean; 
/** until it changes by itself */
seconds_left: number | null; 
/** calls in its window */
succeeded: number; failed: number }> } }

/** Read a breaker */
'GET /v1/breakers/{name}': { path: { 
/** of a model: `provider/model` */
name: string }; query?: { 
/** by default that of the key */
tenant?: string }; reply: { name: string; tenant: string; state: "closed" | "open" | "half-open"; manual: boolean; 
/** until it changes by itself */
seconds_left: number | null; 
/** calls in its window */
succeeded: number; failed: number } }

/** Open or close a breaker by hand, or leave it to itself */
'POST /v1/breakers/{name}': { path: { 
/** of a model: `provider/model` */
name: string }; query?: { 
/** by default that of the key */
tenant?: string }; body: { 
/** `auto`: as its calls decide, from a clean start */
state: "open" | "closed" | "auto"; 
/** then `auto`; absent: until it is set again */
seconds?: number }; reply: { name: string; tenant: string; state: "closed" | "open" | "half-open"; manual: boolean; 
/** until it changes by itself */
seconds_left: number | null; 
/** calls in its window */
succeeded: number; failed: number } }

/** Acquire a lock · 409 `lock_held` when it is held for longer than you wait. With the same `Idempotency-Key`, a repeated call finds what the first one acquired, while it holds it. */
'POST /v1/locks/{name}': { path: { 
/** name of the lock */
name: string }; body: { 
/** the lease ends so long from now, unless it is renewed */
ttl_seconds: number; 
/** while it is held; first come, first served. 0: answer at once */
wait_seconds?: number; 
/** what you call yourself, for others to read */
owner?: string }; reply: { name: string; 
/** rises with each acquisition, never comes twice. Send it with what you write: `x-hub-lock: <name>=<token>` */
token: number; expires_at: string } }

/** Renew a lock that you hold · 412 `lock_lost` when its lease is over. */
'PUT /v1/locks/{name}': { path: { 
/** name of the lock */
name: string }; body: { 
/** of your acquisition */
token: number; 
/** the lease ends so long from now, unless it is renewed */
ttl_seconds: number }; reply: { name: string; 
/** rises with each acquisition, never comes twice. Send it with what you write: `x-hub-lock: <name>=<token>` */
token: number; expires_at: string } }

/** Release a lock that you hold · 412 `lock_lost` when somebody had it after you. The token may also come in a JSON body. */
'DELETE /v1/locks/{name}': { path: { 
/** name of the lock */
name: string }; query?: { 
/** of the reply that acquired it */
token?: number }; reply: undefined }

/** Who holds a lock */
'GET /v1/locks/{name}': { path: { 
/** name of the lock */
name: string }; reply: { name: string; held: boolean; 
/** of its holder */
token: number | null; expires_at: string | null; 
/** `key:<id>` of its holder, or `local` */
by: string | null; owner: string | null; 
/** that was ever given */
highest_token: number | null; waiting: number } }

/** List services */
'GET /v1/services': { query?: { 
/** at most so many */
limit?: number; 
/** the last name of the page before */
after?: string }; reply: { data: Array<{ name: string; instances: number; healthy: number }>; has_more: boolean } }

/** List the instances of a service that are well · `If-None-Match`: 304 while they are the same, whenever they were heard of last. */
'GET /v1/services/{name}': { path: { 
/** name of the service */
name: string }; query?: { 
/** only instances whose metadata have these values: `metadata[zone]=eu` */
metadata?: { [name: string]: string }; 
/** the others too */
all?: string }; reply: { data: Array<{ instance: string; url: string; status: "passing" | "warning" | "critical" | "expired"; weight: number; metadata: { [name: string]: string }; ttl_seconds: number; 
/** it is alive since then */
since: string; 
/** until then it is taken for alive */
expires_at: string }> } }

/** Choose an instance by weight · Of those that pass; of those that warn where none passes. 503 `no_healthy_instance` where neither does. */
'GET /v1/service-choices/{name}': { path: { 
/** name of the service */
name: string }; query?: { 
/** only instances whose metadata have these values: `metadata[zone]=eu` */
metadata?: { [name: string]: string }; 
/** instances that were tried, with commas between */
exclude?: string }; reply: { instance: string; url: string; status: "passing" | "warning" | "critical" | "expired"; weight: number; metadata: { [name: string]: string }; ttl_seconds: number; 
/** it is alive since then */
since: string; 
/** until then it is taken for alive */
expires_at: string } }

/** Register an instance, and say that it is alive · To be repeated before `ttl_seconds` are over, by the clock of Redis. One that is silent is expired, and forgotten after 10 minutes. */
'PUT /v1/services/{name}/{instance}': { path: { 
/** name of the service */
name: string; 
/** id of the instance */
instance: string }; body: { url: string; 
/** it is taken for alive for so long */
ttl_seconds: number; 
/** as it judges itself; `critical` gets no calls */
status?: "passing" | "warning" | "critical"; 
/** its part of the calls; 0 drains it */
weight?: number; metadata?: { [name: string]: string } }; reply: { instance: string; url: string; status: "passing" | "warning" | "critical" | "expired"; weight: number; metadata: { [name: string]: string }; ttl_seconds: number; 
/** it is alive since then */
since: string; 
/** until then it is taken for alive */
expires_at: string } }

/** Read an instance */
'GET /v1/services/{name}/{instance}': { path: { 
/** name of the service */
name: string; 
/** id of the instance */
instance: string }; reply: { instance: string; url: string; status: "passing" | "warning" | "critical" | "expired"; weight: number; metadata: { [name: string]: string }; ttl_seconds: number; 
/** it is alive since then */
since: string; 
/** until then it is taken for alive */
expires_at: string } }

/** Deregister an instance */
'DELETE /v1/services/{name}/{instance}': { path: { 
/** name of the service */
name: string; 
/** id of the instance */
instance: string }; reply: undefined }

/** List configurations */
'GET /v1/config': { query?: { 
/** at most so many */
limit?: number; 
/** the last namespace of the page before */
after?: string }; reply: { data: Array<{ namespace: string; version: number }>; has_more: boolean } }

/** Replace the values of a configuration · Makes a version, unless it has these values already. */
'PUT /v1/config/{namespace}': { path: { 
/** name of the configuration */
namespace: string }; query?: { 
/** what the change is for */
note?: string }; body: { [name: string]: unknown }; reply: { namespace: string; 
/** rises with each write, also after the configuration was deleted */
version: number; values: { [name: string]: unknown }; at: string; 
/** id of the key that wrote it, or `admin` */
by: string; note?: string; 
/** the version that was rolled back to */
restores?: number } }

/** Change some values of a configuration (JSON Merge Patch, RFC 7396) · `null` removes, objects are merged. Without a condition it is merged into what is there at the moment of writing. */
'PATCH /v1/config/{namespace}': { path: { 
/** name of the configuration */
namespace: string }; query?: { 
/** what the change is for */
note?: string }; body: { [name: string]: unknown }; reply: { namespace: string; 
/** rises with each write, also after the configuration was deleted */
version: number; values: { [name: string]: unknown }; at: string; 
/** id of the key that wrote it, or `admin` */
by: string; note?: string; 
/** the version that was rolled back to */
restores?: number } }

/** Read a configuration, or follow it · `If-None-Match` with the `ETag` it came with: 304 while it is that version. With `Accept: text/event-stream` or `watch=true` it is followed: the version that there is, then each later one, as events whose id is the version and whose data is what this route replies with; `deleted` is the event of one that is not there. After `Last-Event-ID`, and where changes come faster than they are read, the newest alone is told. */
'GET /v1/config/{namespace}': { path: { 
/** name of the configuration */
namespace: string }; query?: { 
/** the latest by default */
version?: number; 
/** follow it as server-sent events */
watch?: string; 
/** like the header `Last-Event-ID`, which comes first */
last_event_id?: string }; reply: { namespace: string; 
/** rises with each write, also after the configuration was deleted */
version: number; values: { [name: string]: unknown }; at: string; 
/** id of the key that wrote it, or `admin` */
by: string; note?: string; 
/** the version that was rolled back to */
restores?: number } }

/** Delete a configuration with all its versions · Those that it gets later go on counting, so that no number comes twice. */
'DELETE /v1/config/{namespace}': { path: { 
/** name of the configuration */
namespace: string }; query?: { 
/** what the change is for */
note?: string }; reply: undefined }

/** List the versions of a configuration, the last 100, newest first */
'GET /v1/config/{namespace}/history': { path: { 
/** name of the configuration */
namespace: string }; query?: { 
/** at most so many */
limit?: number; 
/** the last version of the page before */
before?: number }; reply: { data: Array<{ 
/** rises with each write, also after the configuration was deleted */
version: number; at: string; 
/** id of the key that wrote it, or `admin` */
by: string; note?: string; 
/** the version that was rolled back to */
restores?: number; deleted?: true }>; has_more: boolean } }

/** Give a configuration the values of an old version again, as a new version */
'POST /v1/config/{namespace}/rollback': { path: { 
/** name of the configuration */
namespace: string }; body: { version: number; 
/** what the change is for */
note?: string }; reply: { namespace: string; 
/** rises with each write, also after the configuration was deleted */
version: number; values: { [name: string]: unknown }; at: string; 
/** id of the key that wrote it, or `admin` */
by: string; note?: string; 
/** the version that was rolled back to */
restores?: number } }

/** List the tenants that have hub keys or settings, or are being erased */
'GET /v1/tenants': { reply: { data: Array<{ tenant: string; 
/** hub keys that are not revoked */
keys: number; revoked_keys: number; erasing: boolean }> } }

/** Everything the hub holds for a tenant, one JSON value a line; whole where the last line has `end` */
'GET /v1/tenants/{tenant}/export': { path: { 
/** name of the tenant */
tenant: string }; reply: Response }

/** How far a tenant’s erasure is; kept as its proof */
'GET /v1/tenants/{tenant}/erasure': { path: { 
/** name of the tenant */
tenant: string }; reply: { tenant: string; status: "erasing" | "erased"; requested_at: string; erased_at: string | null; 
/** removed so far */
keys: number; 
/** of keys of the whole hub */
members: number; 
/** of the vector store */
indexes: number; 
/** complete looks at everything */
passes: number; 
/** why the last attempt broke off; it is made again */
problem: string | null; 
/** of the same name */
earlier: Array<{ requested_at: string; erased_at: string }> } }

/** Read the log of administrative acts · The newest first. Every request that only an admin may make and that is no GET is written before it is done, and its outcome after it. With `Accept: application/x-ndjson` one a line; the header `Link` leads on. A page may be shorter than its limit and still have a next one. */
'GET /v1/audit': { query?: { 
/** from this time on */
from?: string; 
/** not included */
to?: string; 
/** whom it concerned */
tenant?: string; 
/** `key:<id>`, `admin` or `local` */
actor?: string; 
/** a part of it: `DELETE`, `/v1/keys` */
action?: string; 
/** 100 by default, as lines 10,000 */
limit?: number; 
/** `next` of the page before */
before?: string }; reply: { data: Array<{ id: string; at: string; 
/** `key:<id>`, `admin`, or `local` where no key is needed */
actor: string; 
/** whom it concerned */
tenant: string; 
/** method and route */
action: string; 
/** what its path named */
params: { [name: string]: string }; request_id: string; 
/** address that the connection came from */
client: string | null; 
/** `unknown`: it still runs, or the process died on it; it may have been done */
outcome: "done" | "refused" | "failed" | "unknown"; 
/** HTTP status of the answer */
status: number | null }>; next: string | null } | Response }

/** List prompts by name */
'GET /v1/prompts': { query?: { 
/** at most so many */
limit?: number; 
/** the last name of the page before */
after?: string }; reply: { data: Array<{ name: string; 
/** the newest */
version: number; labels: { [name: string]: number } }>; has_more: boolean } }

/** Add a version of a prompt */
'PUT /v1/prompts/{name}': { path: { 
/** name of the prompt */
name: string }; body: { messages: Array<{ role: "system" | "developer" | "user" | "assistant" | "tool"; 
/** mustache, unescaped: `{{name}}`, sections, no partials */
content?: string | Array<{ type: string; text?: string } & { [name: string]: unknown }> | null } & { [name: string]: unknown }>; 
/** left out: what the messages use, as required strings; `"string"` is short for `{type}` */
variables?: { [name: string]: { type: "string" | "number" | "boolean" | "array" | "object"; 
/** true by default, unless there is a default */
required?: boolean; default?: unknown; description?: string; enum?: Array<string | number> } }; 
/** to point to this version, e.g. `production` */
labels?: Array<string> }; reply: { name: string; version: number; labels: Array<string>; messages: Array<{ role: "system" | "developer" | "user" | "assistant" | "tool"; 
/** mustache, unescaped: `{{name}}`, sections, no partials */
content?: string | Array<{ type: string; text?: string } & { [name: string]: unknown }> | null } & { [name: string]: unknown }>; variables: { [name: string]: { type: "string" | "number" | "boolean" | "array" | "object"; 
/** true by default, unless there is a default */
required?: boolean; default?: unknown; description?: string; enum?: Array<string | number> } }; created_at: string } }

/** Read a version of a prompt, and which there are */
'GET /v1/prompts/{name}': { path: { 
/** name of the prompt */
name: string }; query?: { 
/** the latest by default */
version?: number; 
/** `latest` is the newest version */
label?: string }; reply: { name: string; version: number; labels: Array<string>; messages: Array<{ role: "system" | "developer" | "user" | "assistant" | "tool"; 
/** mustache, unescaped: `{{name}}`, sections, no partials */
content?: string | Array<{ type: string; text?: string } & { [name: string]: unknown }> | null } & { [name: string]: unknown }>; variables: { [name: string]: { type: "string" | "number" | "boolean" | "array" | "object"; 
/** true by default, unless there is a default */
required?: boolean; default?: unknown; description?: string; enum?: Array<string | number> } }; created_at: string; 
/** newest first */
versions: Array<{ version: number; labels: Array<string> }> } }

/** Delete a prompt with all its versions */
'DELETE /v1/prompts/{name}': { path: { 
/** name of the prompt */
name: string }; reply: undefined }

/** Point a label to a version; a rollback is moving `production` */
'PUT /v1/prompts/{name}/labels/{label}': { path: { 
/** name of the prompt */
name: string; 
/** name of the label */
label: string }; body: { version: number }; reply: { name: string; label: string; version: number } }

/** Remove a label; its version stays */
'DELETE /v1/prompts/{name}/labels/{label}': { path: { 
/** name of the prompt */
name: string; 
/** name of the label */
label: string }; reply: undefined }

/** Fill in the variables of a prompt */
'POST /v1/prompts/{name}/render': { path: { 
/** name of the prompt */
name: string }; body: { variables?: { [name: string]: unknown }; 
/** by default what `production` points to, else the newest */
version?: number; 
/** `latest` is the newest version */
label?: string }; reply: { messages: Array<{ role: "system" | "developer" | "user" | "assistant" | "tool"; 
/** mustache, unescaped: `{{name}}`, sections, no partials */
content?: string | Array<{ type: string; text?: string } & { [name: string]: unknown }> | null } & { [name: string]: unknown }>; version: number } }

/** Search the request log, the newest first · A page may be shorter than its limit and still have a next one. */
'GET /v1/requests': { query?: { 
/** for admins; by default the caller’s own */
tenant?: string; 
/** as it was named, or `provider/model` */
model?: string; 
/** id of a hub key; `none`: without one */
key?: string; 
/** `chat.completions`, `ask`, `agent`, … */
endpoint?: string; 
/** where the answer came from */
verdict?: "exact" | "semantic" | "stale" | "collapsed" | "miss" | "request" | "bypass" | "none"; 
/** `429`, or `5xx` */
status?: string; 
/** `true`: only those that failed */
errors?: "true" | "false"; 
/** those that took so long at least */
min_ms?: number; 
/** when it began */
from?: string; 
/** not included */
to?: string; 
/** a part of messages or answer where they are logged, of an id or of a model */
query?: string; 
/** `next_cursor` of the page before */
cursor?: string; 
/** at most so many */
limit?: number }; reply: { data: Array<{ id: string; 
/** when it began */
at: string; request_id: string | null; key_id: string | null; endpoint: string; 
/** as the caller named it */
model: string; 
/** `provider/model` that answered, or was asked last */
target: string | null; 
/** where the answer came from */
verdict: "exact" | "semantic" | "stale" | "collapsed" | "miss" | "request" | "bypass" | "none"; streamed: boolean; 
/** of HTTP; a stream that broke off has the error’s */
status: number; error_code: string | null; 
/** until the first piece of the answer */
first_ms: number | null; total_ms: number; 
/** of the provider’s call that it made */
tokens: { input: number; cached: number; cache_write: number; output: number; reasoning: number; estimated: boolean } | null; 
/** USD */
cost: number; 
/** USD that the cache saved */
saved: number; saved_tokens: number; trace_id: string | null; has_content: boolean }>; next_cursor: string | null } }

/** Read one request of the log, with its content where that was logged */
'GET /v1/requests/{id}': { path: { 
/** of the list */
id: string }; query?: { 
/** for admins; by default the caller’s own */
tenant?: string }; reply: { id: string; 
/** when it began */
at: string; request_id: string | null; key_id: string | null; endpoint: string; 
/** as the caller named it */
model: string; 
/** `provider/model` that answered, or was asked last */
target: string | null; 
/** where the answer came from */
verdict: "exact" | "semantic" | "stale" | "collapsed" | "miss" | "request" | "bypass" | "none"; streamed: boolean; 
/** of HTTP; a stream that broke off has the error’s */
status: number; error_code: string | null; 
/** until the first piece of the answer */
first_ms: number | null; total_ms: number; 
/** of the provider’s call that it made */
tokens: { input: number; cached: number; cache_write: number; output: number; reasoning: number; estimated: boolean } | null; 
/** USD */
cost: number; 
/** USD that the cache saved */
saved: number; saved_tokens: number; trace_id: string | null; 
/** null where it was not logged */
content: { 
/** JSON, without keys and files */
messages: string; 
/** JSON of the answer’s messages */
answer: string | null; 
/** only the beginning is kept */
messages_cut: boolean; answer_cut: boolean } | null } }

/** Requests, tokens and money, by model, key or day; today by default */
'GET /v1/usage': { query?: { 
/** from this time on */
from?: string; 
/** up to this time */
to?: string; 
/** what a line of the reply stands for */
group_by?: "model" | "key" | "day" }; reply: { 
/** UTC day, yyyy-mm-dd */
from: string; 
/** UTC day, yyyy-mm-dd */
to: string; group_by: string; data: Array<{ requests: number; tokens: number; input_tokens: number; cached_input_tokens: number; cache_write_input_tokens: number; output_tokens: number; reasoning_tokens: number; 
/** requests whose tokens the hub counted because the provider did not say */
estimated: number; 
/** USD */
cost: number; 
/** USD that the cache saved */
saved: number } & { [name: string]: unknown }>; total: { requests: number; tokens: number; input_tokens: number; cached_input_tokens: number; cache_write_input_tokens: number; output_tokens: number; reasoning_tokens: number; 
/** requests whose tokens the hub counted because the provider did not say */
estimated: number; 
/** USD */
cost: number; 
/** USD that the cache saved */
saved: number } & { [name: string]: unknown } } }

/** Make a short-lived token that lets a browser read channels */
'POST /v1/realtime-tokens': { body: { channels: Array<string>; ttl_seconds?: number; 
/** the only name under which its bearer may be present */
as?: string }; reply: { token: string; expires_at: string } }

/** Listen on a channel · Server-sent events; `events:{stream}` follows a stream of events, `results:{stream}` its results. With `Last-Event-ID` nothing is missed: an event `gap` says where messages are no longer kept. */
'GET /v1/realtime/{channel}': { path: { 
/** name of the channel */
channel: string }; query?: { 
/** like the header `Last-Event-ID`, which comes first */
last_event_id?: string; 
/** from that time on, where there is no last id */
since?: string; 
/** the name under which this connection is present */
as?: string; 
/** of `POST /v1/realtime-tokens`, instead of a key */
token?: string }; reply: EventStream }

/** Publish a message */
'POST /v1/realtime/{channel}': { path: { 
/** name of the channel */
channel: string }; body: { data: Json0; 
/** the `event:` that readers get */
type?: string }; reply: { id: string } }

/** Who listens under a name */
'GET /v1/realtime/{channel}/presence': { path: { 
/** name of the channel */
channel: string }; reply: { data: Array<{ as: string; connections: number; seen_at: string }> } }

/** See whether you are signed in to the dashboard */
'GET /v1/dashboard-session': { reply: { 
/** whether this hub has an admin key */
needed: boolean; 
/** of your session; null: you have none */
expires_at: string | null } }

/** Sign in to the dashboard with the admin key · Sets the cookie `hub_dashboard`, which for 12 hours stands for the admin key where a page of the hub itself asks. */
'POST /v1/dashboard-session': { body: { 
/** HUB_ADMIN_KEY */
key: string }; reply: { 
/** whether this hub has an admin key */
needed: boolean; 
/** of your session; null: you have none */
expires_at: string | null } }

/** Sign out of the dashboard */
'DELETE /v1/dashboard-session': { reply: undefined }

/** Model Context Protocol: streamable HTTP, stateless */
'POST /mcp': { body: { [name: string]: unknown }; reply: { [name: string]: unknown } | undefined }

/** Metrics of this process, in Prometheus’ text format */
'GET /metrics': { reply: Response }

/** See what the hub does now */
'GET /v1/overview': { query?: { 
/** of the window, until now */
minutes?: number; 
/** for admins; by default the caller’s own */
tenant?: string }; reply: { 
/** RFC 3339 */
at: string; tenant: string; 
/** for admins: those that can be asked about */
tenants: Array<string> | null; window: { minutes: number; 
/** RFC 3339 */
from: string; 
/** RFC 3339 */
to: string }; instance: { version: string; 
/** of the instance that answers */
uptime_seconds: number; 
/** `degraded`: it did not answer in time */
redis: "ok" | "degraded"; 
/** that are deployed */
functions: Array<string> }; traffic?: { total: { requests: number; verdicts: { exact: number; semantic: number; stale: number; 
/** joined an equal call that was running */
collapsed: number; miss: number; 
/** the caller wanted no stored answer */
request: number; 
/** Redis was away */
bypass: number; 
/** ended before an answer was looked for */
none: number }; errors: { 
/** 4xx, other than 429 */
client: number; 
/** 429 */
limited: number; 
/** 5xx */
server: number }; input_tokens: number; output_tokens: number; saved_tokens: number; 
/** USD */
cost: number; 
/** USD that the cache saved */
saved: number; 
/** until the end of the answer */
total_ms: { p50: number | null; p95: number | null; p99: number | null }; 
/** until the first piece of the answer */
first_ms: { p50: number | null; p95: number | null; p99: number | null }; endpoints: { [name: string]: number }; 
/** parts, 0 to 1, of the requests for which an answer was looked for */
hit_rate: { 
/** `stale` too */
exact: number; semantic: number; collapsed: number; all: number } }; 
/** each of the window, the oldest first */
minutes: Array<{ requests: number; verdicts: { exact: number; semantic: number; stale: number; 
/** joined an equal call that was running */
collapsed: number; miss: number; 
/** the caller wanted no stored answer */
request: number; 
/** Redis was away */
bypass: number; 
/** ended before an answer was looked for */
none: number }; errors: { 
/** 4xx, other than 429 */
client: number; 
/** 429 */
limited: number; 
/** 5xx */
server: number }; input_tokens: number; output_tokens: number; saved_tokens: number; 
/** USD */
cost: number; 
/** USD that the cache saved */
saved: number; 
/** until the end of the answer */
total_ms: { p50: number | null; p95: number | null; p99: number | null }; 
/** until the first piece of the answer */
first_ms: { p50: number | null; p95: number | null; p99: number | null }; 
/** when the minute began */
at: string }> } | null; 
/** today */
usage?: { 
/** UTC day */
day: string; total: { requests: number; tokens: number; input_tokens: number; output_tokens: number; 
/** USD */
cost: number; 
/** USD that the cache saved */
saved: number }; models: { data: Array<{ requests: number; tokens: number; input_tokens: number; output_tokens: number; 
/** USD */
cost: number; 
/** USD that the cache saved */
saved: number; 
/** `provider/model`, or `infer/<model>` */
model: string }>; more: boolean }; keys: { data: Array<{ requests: number; tokens: number; input_tokens: number; output_tokens: number; 
/** USD */
cost: number; 
/** USD that the cache saved */
saved: number; 
/** its id, or `none` */
key: string; name: string | null }>; more: boolean } } | null; limits?: { tenant: { limits: Array<{ on: "requests" | "tokens"; limit: number; window_seconds: number; 
/** null where it could not be asked */
remaining: number | null }>; budget: { usd: number; period: "daily" | "monthly" | "total"; spent_usd: number; 
/** by running calls */
held_usd: number } | null }; 
/** keys that are not revoked and have limits or a budget */
keys: { data: Array<{ limits: Array<{ on: "requests" | "tokens"; limit: number; window_seconds: number; 
/** null where it could not be asked */
remaining: number | null }>; budget: { usd: number; period: "daily" | "monthly" | "total"; spent_usd: number; 
/** by running calls */
held_usd: number } | null; id: string; name: string | null; 
/** RFC 3339 */
created_at: string }>; more: boolean } } | null; 
/** that counted a failure or were set within a day */
breakers?: { data: Array<{ 
/** `provider/model`, or `app:<name>` */
name: string; tenant: string; state: "closed" | "open" | "half-open"; manual: boolean; 
/** until it changes by itself */
seconds_left: number | null; 
/** calls in its window */
succeeded: number; failed: number; 
/** 0 to 1; null without calls */
failure_rate: number | null }>; more: boolean } | null; 
/** that have settings */
streams?: { data: Array<{ name: string; 
/** `hub`: of the whole hub; shown to admins */
kind: "events" | "hub"; handler: string | null; length: number; 
/** not taken up yet; null where nobody works on it, or Redis cannot tell */
lag: number | null; 
/** worked on now, or waiting for another attempt */
pending: number; 
/** `POST /v1/events/{stream}/dead/replay` puts them back */
dead: number }>; more: boolean } | null; queues?: { data: Array<{ name: string; waiting: number; leased: number; dead: number }>; more: boolean } | null; 
/** those that took a step last, first */
agents?: { data: Array<{ id: string; role: string; status: string; version: number; steps: number; last_step_at: string | null; error: string | null }>; more: boolean } | null; models?: { data: Array<{ name: string; 
/** the greatest first */
versions: Array<string>; labels: { [name: string]: string }; default_version: string; 
/** in the window */
inferences: number; errors: number; 
/** ms, interpolated within fixed buckets; null where nothing was measured */
total_ms: { p50: number | null; p95: number | null; p99: number | null } }>; more: boolean } | null; alerts?: { rules: { data: Array<{ name: string; type: "threshold" | "rate" | "absence"; 
/** `stream:…`, `results:…` or `pipeline:…` */
on: string; fired_at: string | null; 
/** it fired, and says nothing until then */
quiet_until: string | null }>; more: boolean }; 
/** the newest first */
latest: Array<{ id: string; rule: string; type: string; 
/** RFC 3339 */
at: string } & { [name: string]: unknown }> } | null; 
/** that failed the last time */
schedules?: { data: Array<{ name: string; consecutive_failures: number; last_error: { code: string; message: string; 
/** RFC 3339 */
at: string } | null; next_run: string | null }>; more: boolean } | null; errors: Array<{ part: string; code: string; message: string }> } }

/** Follow what the hub does · Server-sent events `snapshot`, whose data is that of `GET /v1/overview`: one at once, then one each time that something changed. Nothing is missed by coming back: each one is whole. */
'GET /v1/overview/events': { query?: { 
/** of the window, until now */
minutes?: number; 
/** for admins; by default the caller’s own */
tenant?: string }; reply: EventStream }

/** List the gateway’s routes */
'GET /v1/routes': { reply: { data: Array<{ id: string; path: string; upstream: string } & { [name: string]: unknown }> } }

/** Read a route */
'GET /v1/routes/{id}': { path: { 
/** name of the route */
id: string }; reply: { id: string; path: string; upstream: string } & { [name: string]: unknown } }

/** Set a route; every instance follows within a second */
'PUT /v1/routes/{id}': { path: { 
/** name of the route */
id: string }; body: { 
/** every method by default; `GET` covers `HEAD` */
method?: string; host?: string; path: string; 
/** origin and base path, https unless `allow_private`; or `service://{name}/{base path}`: an instance of a service of the default tenant, by weight for each request */
upstream: string; 
/** what to cut from the path; `true`: what `path` says literally */
strip_prefix?: boolean | string; 
/** sent to the upstream, over what the client sent; secret ones are not shown again */
headers?: { [name: string]: string }; 
/** requests of one key */
limit?: { limit: number; window_seconds: number; algorithm?: "sliding_window" | "fixed_window" | "token_bucket" }; 
/** by the rules of a shared cache (RFC 9111); bodies up to 1 MiB */
cache?: boolean | { max_bytes?: number }; 
/** allows plain HTTP and addresses that are not public */
allow_private?: boolean }; reply: { id: string; path: string; upstream: string } & { [name: string]: unknown } }

/** Remove a route */
'DELETE /v1/routes/{id}': { path: { 
/** name of the route */
id: string }; reply: undefined }

/** Pass a request on to the upstream of the most specific route that matches the rest of the path */
'GET /gateway/{path}': { path: { 
/** the rest of the path, slashes included */
path: string }; reply: unknown }

/** Pass a request on to the upstream of the most specific route that matches the rest of the path */
'POST /gateway/{path}': { path: { 
/** the rest of the path, slashes included */
path: string }; body?: unknown; reply: unknown }

/** Pass a request on to the upstream of the most specific route that matches the rest of the path */
'PUT /gateway/{path}': { path: { 
/** the rest of the path, slashes included */
path: string }; body?: unknown; reply: unknown }

/** Pass a request on to the upstream of the most specific route that matches the rest of the path */
'PATCH /gateway/{path}': { path: { 
/** the rest of the path, slashes included */
path: string }; body?: unknown; reply: unknown }

/** Pass a request on to the upstream of the most specific route that matches the rest of the path */
'DELETE /gateway/{path}': { path: { 
/** the rest of the path, slashes included */
path: string }; reply: unknown }

/** Answer another gateway: nginx auth_request, Envoy ext_authz, Traefik ForwardAuth */
'GET /v1/authz': { reply: undefined }
}

/** Routes that honour `Idempotency-Key`. */
export const ONCE: (keyof Routes)[] = [
  'POST /v1/indexes/{index}/documents',
  'POST /v1/agents/{id}/steps',
  'POST /v1/agents/{id}/messages',
  'POST /v1/agents/{id}/memory',
  'POST /v1/tasks',
  'PUT /v1/knowledge/{topic}',
  'POST /v1/events/{stream}',
  'POST /v1/datasets/{name}/rows',
  'POST /v1/keys',
  'POST /v1/sessions',
  'POST /v1/sessions/{id}/rotate',
  'POST /v1/locks/{name}',
  'PUT /v1/config/{namespace}',
  'PATCH /v1/config/{namespace}',
  'POST /v1/config/{namespace}/rollback',
  'PUT /v1/prompts/{name}',
  'POST /v1/realtime/{channel}',
]

/** Routes whose write is refused when a later holder of the caller's lock wrote. */
export type FencedRoute = 'PUT /v1/knowledge/{topic}' | 'PATCH /v1/preferences/{user}' | 'PUT /v1/services/{name}/{instance}' | 'PUT /v1/config/{namespace}' | 'PATCH /v1/config/{namespace}' | 'DELETE /v1/config/{namespace}' | 'POST /v1/config/{namespace}/rollback' | 'PUT /v1/prompts/{name}'

/** A reply that the client reads as events. */
export interface EventStream {
  readonly stream: true
}

type Filter = { type: "eq" | "ne" | "gt" | "gte" | "lt" | "lte" | "in" | "nin"; key: string; value: string | number | boolean | Array<string | number | boolean> } | { type: "and" | "or"; filters: Array<Filter> }

type Json0 = string | number | boolean | null | Array<Json0> | { [name: string]: Json0 }

type Json1 = string | number | boolean | null | Array<Json1> | { [name: string]: Json1 }

type Json2 = string | number | boolean | null | Array<Json2> | { [name: string]: Json2 }
