// Runs the networks, one request after the other, so that the page stays responsive.

import { Deception } from "./fool.js";
import { lightNetwork } from "./light.js";
import { ownNetwork } from "./own.js";
import { fetched, serve } from "./serving.js";

const networks = new Map();
const deceptions = new Map();

/** The 8-bit copy of a network, which answers until the network itself is there. */
async function loadLight({ name, url, described, shape }, onBytes) {
  const ask = lightNetwork(await fetched(url, `The network “${name}”`, onBytes), described, shape[1]);
  if (!networks.has(name)) networks.set(name, ask);
}

/** Load a network from its URL, or from the bytes of its file. */
async function load({ name, url, bytes, shape }, onBytes) {
  const { ort, prepare } = await import("./runtime.js");
  const content = () => fetched(url, `The network “${name}”`, onBytes);
  const [, file] = await Promise.all([prepare(), bytes ? new Uint8Array(bytes) : content()]);
  let session;
  try {
    session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
  } catch (error) {
    throw new Error(`The network “${name}” could not be started: ${why(error)}`);
  }
  networks.set(name, (...question) => ask(ort, session, shape, ...question));
}

/** A visitor's own network: how many outputs it has, and whether it gives its gradient. */
async function loadOwn({ name, bytes }) {
  const { ort, prepare } = await import("./runtime.js");
  await prepare();
  let session;
  try {
    session = await ort.InferenceSession.create(new Uint8Array(bytes), { executionProviders: ["wasm"] });
  } catch (error) {
    throw new Error(`This file could not be started as a network: ${why(error)}`);
  }
  const own = await ownNetwork(ort, session);
  networks.set(name, own.ask);
  return own.described;
}

/** Why ONNX Runtime refuses a file, without its codes. */
function why({ message }) {
  if (message.includes("protobuf parsing failed")) return "it is no ONNX file.";
  return message.replace(/^.*ERROR_MESSAGE: /s, "");
}

async function ask(ort, session, shape, images, targets, noise) {
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
  const ask = networks.get(network);
  const slack = Math.max(rule.slack, ask.slack ?? 0);
  deceptions.set(run, new Deception(ask, targets, starts, { ...rule, slack }));
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
  begin,
  step,
  end: ({ run }) => void deceptions.delete(run),
  /** Logits (N, K) of images (N, C·H·W), both flat. */
  logits: async ({ network, images, n }) =>
    (await networks.get(network)(images, Array(n).fill(0), Array(n).fill(0))).logits,
  /** The images of a deception in float32, not rounded to levels. */
  pixels: ({ run }) => deceptions.get(run).images.map((image) => image.pixels),
};

serve(actions, { load, loadLight, loadOwn });
