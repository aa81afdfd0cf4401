// The same graphs on the graphics card, where there is one.

import * as gpu from "onnxruntime-web/webgpu";
import binaryUrl from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?gzip";
import { fetched, unpacked } from "./runtime.js";

gpu.env.wasm.numThreads = 1;
gpu.env.logLevel = "error";

/** The runtime for the graphics card, and sessions of the graphs on it. */
export async function onGpu(graphs) {
  const binary = await unpacked(await fetched(binaryUrl, "The runtime for the graphics card"));
  gpu.env.wasm.wasmBinary = binary;
  const sessions = {};
  for (const [name, graph] of Object.entries(graphs))
    sessions[name] = await gpu.InferenceSession.create(new Uint8Array(graph), {
      executionProviders: ["webgpu"],
      logSeverityLevel: 3, // errors
    });
  return { ort: gpu, sessions };
}
