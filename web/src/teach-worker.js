// Plays the rounds in a worker: asks the graphs, and tells the page how far they are.

import { probabilities } from "./fool.js";
import { generator } from "./random.js";
import { fetched, serve, unpacked } from "./runtime.js";
import { Graphs, compared } from "./teach-graphs.js";
import { Rounds } from "./teach-rounds.js";

const LOOKED = 50; // images of a look, as many of each digit
const FIXED = 10; // of them begin with the same static every time
const SHARE = 6; // a look comes after that many times its own duration, spent on rounds

const SHAPE = [1, 28, 28];

let lesson = null;
let digits = null;
let files = null; // the graphs, as they were fetched
let processor = null; // the graphs in WebAssembly
let graphs = null; // those that are asked: on the processor or on the graphics card
let rounds = null;
let turn = null; // while rounds are played; pausing and playing again begins another one
let loop = Promise.resolve();

async function load({ url }) {
  if (graphs !== null) return lesson.settings;
  const file = async (name, what) => fetched(new URL(name, url), what);
  lesson = JSON.parse(new TextDecoder().decode(await file("lesson.json", "The lesson")));
  const { files: named, settings } = lesson;
  const [gradient, step, packed] = await Promise.all([
    file(named.gradient, "The network’s gradient"),
    file(named.step, "The step of training"),
    file(named.digits, "The digits").then(unpacked),
  ]);
  const bytes = new Uint8Array(packed);
  digits = { labels: bytes.subarray(0, settings.digits), levels: bytes.subarray(settings.digits) };
  files = { gradient, step };
  graphs = processor = await Graphs.onProcessor(files, SHAPE);
  return settings;
}

const ask = {
  gradient: async (...question) => (await graphs.gradient(...question)).gradient,
  step: (request) => graphs.step(request),
};

/**
 * Use the graphics card where there is one that gives the same answers more quickly.
 *
 * `software` allows one that is only imitated by the processor, for tests.
 */
async function hurry({ software = false }) {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter || (adapter.info?.isFallbackAdapter && !software)) return { found: false };
  const { onGpu } = await import("./teach-gpu.js");
  const card = new Graphs(await onGpu(files), SHAPE);
  const result = await compared(processor, card, rounds.weights, () => generator(0));
  const used = result.agrees && result.other < result.usual;
  if (used) graphs = card;
  return { found: true, used, ...result };
}

/** Draw with the network of now, and tell the page. */
async function look() {
  const targets = Array.from({ length: LOOKED }, (_, i) => i % lesson.settings.classes);
  const fresh = LOOKED * (rounds.number + 1);
  const levels = await rounds.draw(
    targets,
    targets.map((_, i) => (i < FIXED ? i : fresh + i)),
  );
  return { number: rounds.number, targets, levels, fixed: FIXED, loss: rounds.loss ?? null };
}

/** Let messages in; a timer would wait for milliseconds. */
const breath = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });

/** A round; if the graphics card fails, the processor plays from here on. */
async function playOne() {
  try {
    await rounds.play();
  } catch (error) {
    if (graphs === processor) throw error;
    graphs = processor;
  }
}

/** Round after round, with a look now and then, until another turn begins or none. */
async function play(mine) {
  let [began, from, cost] = [performance.now(), rounds.number, 0];
  while (turn === mine) {
    const spent = performance.now() - began;
    if (spent > SHARE * cost && rounds.number > from) {
      const start = performance.now();
      const seen = await look();
      cost = performance.now() - start;
      const speed = (1000 * (rounds.number - from)) / (spent + cost);
      if (turn === mine) self.postMessage({ event: "look", ...seen, speed });
      [began, from] = [performance.now(), rounds.number];
    }
    await playOne();
    await breath();
  }
}

/** The network of now as an ONNX file: its weights, put where they belong. */
async function network({ url }) {
  const around = await fetched(new URL(lesson.files.network, url), "The network’s file");
  const weights = new Uint8Array(rounds.averaged.slice().buffer);
  const bytes = new Uint8Array(around.length + weights.length);
  bytes.set(around.subarray(0, lesson.offset));
  bytes.set(weights, lesson.offset);
  bytes.set(around.subarray(lesson.offset), lesson.offset + weights.length);
  return { bytes, number: rounds.number };
}

/** What the network of now makes of an image, without noise. */
async function read({ image }) {
  const { logits } = await graphs.gradient(rounds.averaged, image, [0], [0]);
  return probabilities(logits, 1)[0];
}

serve({
  load,
  begin: async ({ seed }) => {
    turn = null;
    await loop;
    rounds = new Rounds(lesson, digits, ask, seed);
    return look();
  },
  play() {
    const mine = (turn = {});
    loop = loop
      .then(() => play(mine))
      .catch((error) => self.postMessage({ event: "trouble", message: error.message }));
  },
  pause() {
    turn = null;
  },
  look,
  read,
  network,
  hurry,
  weights: () => rounds.averaged,
  rubbish: ({ image, copies }) => {
    for (let k = 0; k < copies; k++) rounds.extra.push(image);
  },
  gradient: ({ weights, images, targets, noise }) => ask.gradient(weights, images, targets, noise),
  step: (request) => ask.step(request),
});
