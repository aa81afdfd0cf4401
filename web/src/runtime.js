// ONNX Runtime for workers: its binary, fetched once, and sessions.

import * as ort from "onnxruntime-web/wasm";
import runtimeUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?gzip";
import { fetched, serve, unpacked } from "./serving.js";

ort.env.wasm.numThreads = 1; // more would need a host that sends special headers
ort.env.logLevel = "error";

export { fetched, ort, serve, unpacked };

let runtime = null;

/** Fetch the runtime's binary; after a failure, the next call tries again. */
export function prepare() {
  runtime ??= fetched(runtimeUrl, "The runtime")
    .then(unpacked)
    .then(
      (binary) => {
        ort.env.wasm.wasmBinary = binary;
      },
      (error) => {
        runtime = null;
        throw error;
      },
    );
  return runtime;
}
