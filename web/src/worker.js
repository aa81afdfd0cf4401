// Runs the networks, one request after the other, so that the page stays responsive.

import * as ort from "onnxruntime-web/wasm";
import runtimeUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?gzip";
import { Deception } from "./fool.js";

ort.env.wasm.numThreads = 1; // more would need a host that sends special headers
ort.env.logLevel = "error";

const networks = new Map();
const deceptions = new Map();
let runtime = null;

async function fetched(url, what) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(`${what} could not be fetched: ${error.message}.`);
  }
  if (!response.ok) throw new Error(`${what} could not be fetched: the host says ${response.status}.`);
  return response;
}

/** The binary of ONNX Runtime; a host may have undone the compression already. */
async function prepare() {
  const bytes = new Uint8Array(await (await fetched(runtimeUrl, "The runtime")).arrayBuffer());
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const stream = () => new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  ort.env.wasm.wasmBinary = packed ? await new Response(stream()).arrayBuffer() : bytes.buffer;
}

async function load({ name, url, shape }) {
  if (networks.has(name)) return;
  // After a failure to get the runtime, the next request may try again.
  runtime ??= prepare().catch((error) => {
    runtime = null;
    throw error;
  });
  const [, response] = await Promise.all([runtime, fetched(url, `The network “${name}”`)]);
  const content = new Uint8Array(await response.arrayBuffer());
  let session;
  try {
    session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
  } catch (error) {
    throw new Error(`The network “${name}” could not be started: ${error.message}`);
  }
  networks.set(name, (...question) => ask(session, shape, ...question));
}

async function ask(session, shape, images, targets, noise) {
  const n = targets.length;
  const given = {
    images: new ort.Tensor("float32", images, [n, ...shape]),
    targets: new ort.Tensor("int64", BigInt64Array.from(targets, BigInt), [n]),
  };
  if (session.inputNames.includes("noise"))
    given.noise = new ort.Tensor("float32", Float32Array.from(noise), [n]);
  const results = await session.run(given);
  return { logits: results.logits.data, gradient: results.gradient.data };
}

function begin({ run, network, targets, starts, rule }) {
  deceptions.set(run, new Deception(networks.get(network), targets, starts, rule));
}

/** Several steps at once; returns the state before the last one's move. */
async function step({ run, count = 1 }) {
  const deception = deceptions.get(run);
  for (let k = 0; k < count && !deception.finished; k++) await deception.step();
  const images = deception.images.map(({ levels, confidences, confidence, at, fooled, finished }) => ({
    levels,
    confidences,
    confidence,
    steps: at,
    fooled,
    finished,
  }));
  if (deception.finished) deceptions.delete(run);
  return { images, finished: deception.finished };
}

const actions = {
  load,
  begin,
  step,
  end: ({ run }) => void deceptions.delete(run),
  /** Logits (N, K) of images (N, C·H·W), both flat. */
  logits: async ({ network, images, n }) =>
    (await networks.get(network)(images, Array(n).fill(0), Array(n).fill(0))).logits,
  /** The images of a deception in float32, not rounded to levels. */
  pixels: ({ run }) => deceptions.get(run).images.map((image) => image.pixels),
};

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
