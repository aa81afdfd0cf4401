// Runs the networks, one request after the other, so that the page stays responsive.

import { Deception } from "./fool.js";
import { fetched, ort, prepare, serve } from "./runtime.js";

const networks = new Map();
const deceptions = new Map();

/** Load a network from its URL, or from the bytes of its file. */
async function load({ name, url, bytes, shape, again = false }) {
  if (networks.has(name) && !again) return;
  const content = async () => (await fetched(url, `The network “${name}”`)).arrayBuffer();
  const [, file] = await Promise.all([prepare(), bytes ?? content()]);
  let session;
  try {
    session = await ort.InferenceSession.create(new Uint8Array(file), { executionProviders: ["wasm"] });
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

serve(actions);
