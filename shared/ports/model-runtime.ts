/** Open Inference Protocol v2's names; there is no BYTES: models are given numbers. */
export type TensorType =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'FP32'
  | 'FP64'

/** BOOL is 0 or 1; FP16 is its bits. */
export type TensorData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array

/** Row-major. */
export interface Tensor {
  type: TensorType
  shape: readonly number[]
  data: TensorData
}

/** -1 in a shape: any length. */
export interface TensorSpec {
  name: string
  type: TensorType
  shape: readonly number[]
  /** The model leaves the shape open altogether, and `shape` is empty. */
  anyShape?: boolean
}

export type ModelFormat = 'onnx' | 'tensorflow' | 'torch' | 'tflite'

export interface ModelFile {
  /** Unique for these bytes, in a hub: tenant, name, version and SHA-256. */
  key: string
  format: ModelFormat
  bytes: Uint8Array
  /** Needed where the format does not say them (TensorFlow, Torch). */
  inputs?: readonly TensorSpec[]
  outputs?: readonly TensorSpec[]
}

/** A model in a runtime. */
export interface LoadedModel {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** That it takes up in this process. */
  readonly memoryBytes: number
  /** Lets go of it once nobody runs it any more. May be repeated. */
  close(): Promise<void>
}

/** One model of a DAG: its inputs and outputs in the model's order, by the names that tensors have in the DAG. */
interface DagNode {
  model: LoadedModel
  inputs: readonly string[]
  outputs: readonly string[]
}

export interface Dag {
  /** Each one after those that make its inputs. */
  nodes: readonly DagNode[]
  /** Names of the tensors to answer. */
  outputs: readonly string[]
}

/** The port to what runs models. */
export interface ModelRuntime {
  readonly name: string
  readonly formats: readonly ModelFormat[]
  /**
   * Errors: `HubError` `invalid_model` (422) for bytes that are none, or that this runtime cannot run; `unsupported_format` (400);
   * `key_conflict` (409); `runtime_unavailable` (503).
   */
  load(file: ModelFile, options?: { signal?: AbortSignal }): Promise<LoadedModel>
  /**
   * Runs a DAG: `inputs` by name. Types and shapes are checked before anything is sent.
   *
   * Errors: `HubError` `invalid_tensor` (400, `param` names the input), `inference_failed` (422), `inference_timeout` (504),
   * `runtime_unavailable` (503).
   */
  execute(
    dag: Dag,
    inputs: ReadonlyMap<string, Tensor>,
    options?: { signal?: AbortSignal; timeoutMs?: number },
  ): Promise<Map<string, Tensor>>
  close(): Promise<void>
}
