// The graphs of the lesson, asked on the processor or on the graphics card.

import { ort, prepare } from "./runtime.js";

const TOLERANCE = 1e-3; // how far two runtimes may be apart, as a share of the greatest value
const TRIED = 5; // how often each is timed, after once that isn't
const HOPELESS = 3; // times as slow
const BATCH = 64; // images of the trial

/** Both graphs in one runtime. */
export class Graphs {
  constructor({ ort: library, sessions }, shape) {
    this.ort = library;
    this.sessions = sessions;
    this.shape = shape;
  }

  static async onProcessor(graphs, shape) {
    await prepare();
    const sessions = {};
    for (const [name, graph] of Object.entries(graphs))
      sessions[name] = await ort.InferenceSession.create(new Uint8Array(graph));
    return new Graphs({ ort, sessions }, shape);
  }

  #floats(values, shape = [values.length]) {
    const own = values instanceof Float32Array ? values : Float32Array.from(values);
    return new this.ort.Tensor("float32", own, shape);
  }

  #whole(values) {
    return new this.ort.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);
  }

  /** Logits, and the gradient of the log-odds. */
  async gradient(weights, images, targets, noise) {
    const { logits, gradient } = await this.sessions.gradient.run({
      weights: this.#floats(weights),
      images: this.#floats(images, [targets.length, ...this.shape]),
      targets: this.#whole(targets),
      noise: this.#floats(noise),
    });
    return { logits: logits.data, gradient: gradient.data };
  }

  /** The network after a step of training. */
  async step({ weights, state, number, rate, images, labels, noise }) {
    const results = await this.sessions.step.run({
      weights: this.#floats(weights),
      state: this.#floats(state, [2, weights.length]),
      number: this.#floats([number], []),
      learning_rate: this.#floats([rate], []),
      images: this.#floats(images, [labels.length, ...this.shape]),
      labels: this.#whole(labels),
      noise: this.#floats(noise),
    });
    const { new_weights: moved, new_state: memory, loss } = results;
    return { weights: moved.data, state: memory.data, loss: loss.data[0] };
  }
}

/**
 * What a round asks, about images by chance: its answers, and the milliseconds that it takes.
 *
 * After a time longer than `limit` it isn't timed again.
 */
async function trial(graphs, weights, random, limit = Infinity) {
  const pixels = graphs.shape.reduce((product, side) => product * side, 1);
  const images = Float32Array.from({ length: 2 * BATCH * pixels }, random);
  const labels = Array.from({ length: 2 * BATCH }, (_, i) => i % 10);
  const noise = labels.map((_, i) => (i + 1) / (2 * BATCH));
  const state = new Float32Array(2 * weights.length).fill(1e-4);
  const round = async () => {
    const half = images.subarray(0, BATCH * pixels);
    const { logits } = await graphs.gradient(weights, half, labels.slice(0, BATCH), noise.slice(0, BATCH));
    const taught = await graphs.step({ weights, state, number: 500, rate: 1e-3, images, labels, noise });
    return [logits, taught.weights, [taught.loss]];
  };
  const answers = await round();
  const times = [];
  do {
    const start = performance.now();
    await round();
    times.push(performance.now() - start);
  } while (times.length < TRIED && times.at(-1) <= limit);
  times.sort((a, b) => a - b);
  return { answers, milliseconds: times[Math.floor(times.length / 2)] };
}

const alike = (one, other) => {
  let [gap, greatest] = [0, 1];
  for (let k = 0; k < one.length; k++) {
    gap = Math.max(gap, Math.abs(one[k] - other[k]));
    greatest = Math.max(greatest, Math.abs(one[k]));
  }
  return gap <= TOLERANCE * greatest; // false where something is no number
};

/** Whether `other` answers as `usual` does, and how long each takes for what a round asks. */
export async function compared(usual, other, weights, seeded) {
  const one = await trial(usual, weights, seeded());
  const two = await trial(other, weights, seeded(), HOPELESS * one.milliseconds);
  return {
    agrees: one.answers.every((values, k) => alike(values, two.answers[k])),
    usual: one.milliseconds,
    other: two.milliseconds,
  };
}
