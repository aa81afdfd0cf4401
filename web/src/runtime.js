// ONNX Runtime for workers: its binary, fetched once, and sessions.

import * as ort from "onnxruntime-web/wasm";
import runtimeUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?gzip";

ort.env.wasm.numThreads = 1; // more would need a host that sends special headers
ort.env.logLevel = "error";

export { ort };

let runtime = null;

/** A file, or an error whose message is a sentence for the page. */
export async function fetched(url, what) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(`${what} could not be fetched: ${error.message}.`);
  }
  if (!response.ok) throw new Error(`${what} could not be fetched: the host says ${response.status}.`);
  return response;
}

/** The bytes of a compressed file; a host may have undone the compression already. */
export async function unpacked(response) {
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.buffer;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

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

/** Answer a worker's messages with `actions`, one after the other. */
export function serve(actions) {
  let queue = Promise.resolve();
  self.onmessage = ({ data: { id, action, ...request } }) => {
    queue = queue.then(async () => {
      try {
        self.postMessage({ id, value: await actions[action](request) });
      } catch (error) {
        self.postMessage({ id, error: error.message });
      }
    });
  };
}
