// The rounds in which digits emerge: the library's `EmergingSettings`, round for round
// (src/deceive/teaching/{emerging,continual}.py), with all weights in one vector.

import { generator, shake } from "./random.js";
import { noiseAfter, sizeAfter } from "./rules.js";

const ADAM_STATES = 2; // numbers that Adam remembers of each weight

/** Weights of an untaught network: each parameter uniform up to its bound. */
export function untaught(parameters, random) {
  const weights = new Float32Array(parameters.reduce((sum, { count }) => sum + count, 0));
  let at = 0;
  for (const { count, bound } of parameters)
    for (const end = at + count; at < end; at++) weights[at] = bound * (2 * random() - 1);
  return weights;
}

/**
 * A network that is deceived and taught.
 *
 * `ask.gradient(weights, images, targets, noise)` returns the gradient of the log-odds, and
 * `ask.step({ weights, state, number, rate, images, labels, noise })` the network after a step of
 * training. Images are flat. `digits` are real ones: `labels` (D) and `levels` (D · pixels).
 */
export class Rounds {
  constructor({ settings, parameters }, digits, ask, seed) {
    this.settings = settings;
    this.digits = digits;
    this.ask = ask;
    this.random = generator(seed);
    this.number = 0; // rounds played
    this.pixels = digits.levels.length / digits.labels.length;
    this.weights = untaught(parameters, this.random);
    this.averaged = this.weights.slice(); // follows slowly, and is the result
    this.state = new Float32Array(ADAM_STATES * this.weights.length);
    this.extra = []; // images that a visitor calls rubbish
    const { kept, ascent } = settings;
    this.levels = new Uint8Array(kept * this.pixels);
    this.targets = new Uint8Array(kept);
    this.taken = new Float64Array(kept); // steps since each candidate began; at first, any number
    for (let index = 0; index < kept; index++) {
      this.#begin(index);
      this.taken[index] = this.#below(ascent.schedule.steps);
    }
  }

  #below(count) {
    return Math.floor(this.random() * count);
  }

  #begin(index) {
    const from = index * this.pixels;
    for (let k = 0; k < this.pixels; k++) this.levels[from + k] = this.#below(256);
    this.targets[index] = this.#below(this.settings.classes);
    this.taken[index] = 0;
  }

  /** Deceive the network, teach it, and let the average follow. */
  async play() {
    this.number += 1;
    const chosen = this.#choose();
    await this.#climb(chosen);
    await this.#teach(this.#lesson(chosen));
    this.#average();
  }

  /** Some candidates at random; those at the end of their schedule begin again. */
  #choose() {
    const { kept, candidates, ascent } = this.settings;
    const all = Array.from({ length: kept }, (_, index) => index);
    for (let k = 0; k < candidates; k++) {
      const other = k + this.#below(kept - k);
      [all[k], all[other]] = [all[other], all[k]];
    }
    const chosen = all.slice(0, candidates);
    for (const index of chosen) if (this.taken[index] >= ascent.schedule.steps) this.#begin(index);
    return chosen;
  }

  async #climb(chosen) {
    const images = this.#images(chosen);
    const targets = chosen.map((index) => this.targets[index]);
    const taken = chosen.map((index) => this.taken[index]);
    await this.climb(this.weights, images, targets, taken, this.settings.steps);
    chosen.forEach((index, i) => {
      this.taken[index] = taken[i];
      for (let k = 0; k < this.pixels; k++)
        this.levels[index * this.pixels + k] = Math.round(255 * images[i * this.pixels + k]);
    });
  }

  /** Candidates as images in [0, 1]. */
  #images(chosen) {
    const images = new Float32Array(chosen.length * this.pixels);
    chosen.forEach((index, i) => {
      for (let k = 0; k < this.pixels; k++)
        images[i * this.pixels + k] = this.levels[index * this.pixels + k] / 255;
    });
    return images;
  }

  /** Let images climb in their noise, in place; `taken` counts on. Each has its own `random`. */
  async climb(weights, images, targets, taken, steps, random = () => this.random) {
    const { ascent } = this.settings;
    for (let step = 0; step < steps; step++) {
      const noise = taken.map((each) => noiseAfter(ascent, each));
      const gradient = await this.ask.gradient(
        weights,
        this.#shaken(images, noise, random),
        targets,
        noise,
      );
      for (let i = 0; i < targets.length; i++) {
        const size = sizeAfter(ascent, taken[i]);
        for (let k = i * this.pixels; k < (i + 1) * this.pixels; k++)
          images[k] = Math.min(1, Math.max(0, images[k] + size * Math.sign(gradient[k])));
        taken[i] += 1;
      }
    }
  }

  #shaken(images, noise, random) {
    const shaken = images.slice();
    noise.forEach((deviation, i) =>
      shake(shaken, i * this.pixels, (i + 1) * this.pixels, deviation, random(i)),
    );
    return shaken;
  }

  /** As many digits as candidates, in the same noise, and what the visitor calls rubbish. */
  #lesson(chosen) {
    const { ascent, classes } = this.settings;
    const own = this.#images(chosen);
    const n = chosen.length;
    const count = 2 * n + this.extra.length;
    const images = new Float32Array(count * this.pixels);
    const labels = Array(count).fill(classes);
    for (let i = 0; i < n; i++) {
      const digit = this.#below(this.digits.labels.length);
      labels[i] = this.digits.labels[digit];
      for (let k = 0; k < this.pixels; k++)
        images[i * this.pixels + k] = this.digits.levels[digit * this.pixels + k] / 255;
    }
    images.set(own, n * this.pixels);
    this.extra.forEach((image, i) => images.set(image, (2 * n + i) * this.pixels));
    const noise = chosen.map((index) => noiseAfter(ascent, this.taken[index]));
    const anywhere = this.extra.map(() => noiseAfter(ascent, this.#below(ascent.schedule.steps + 1)));
    const all = [...noise, ...noise, ...anywhere];
    return { images: this.#shaken(images, all, () => this.random), labels, noise: all };
  }

  async #teach(lesson) {
    const { weights, state, number } = this;
    const taught = await this.ask.step({ weights, state, number, rate: this.rate, ...lesson });
    if (!Number.isFinite(taught.loss))
      throw new Error(`The network has diverged in round ${number}: start again.`);
    Object.assign(this, taught);
  }

  /** The learning rate of this round: it rises, then falls along a cosine to a twentieth. */
  get rate() {
    const { learningRate, rounds, warming } = this.settings;
    const share = Math.min(1, this.number / rounds);
    const fall = 0.05 + 0.95 * 0.5 * (1 + Math.cos(Math.PI * share));
    return learningRate * fall * Math.min(1, this.number / warming);
  }

  #average() {
    const { averaging, young } = this.settings;
    const share = Math.max(1 - averaging, young / (young + this.number));
    for (let k = 0; k < this.weights.length; k++)
      this.averaged[k] += share * (this.weights[k] - this.averaged[k]);
  }

  /** Images that the network of now is deceived with, from fresh static; number i has `seeds[i]`. */
  async draw(targets, seeds) {
    const images = new Float32Array(targets.length * this.pixels);
    const randoms = seeds.map((seed) => generator(seed));
    randoms.forEach((random, i) => {
      for (let k = 0; k < this.pixels; k++) images[i * this.pixels + k] = random();
    });
    const taken = targets.map(() => 0);
    const { steps } = this.settings.ascent.schedule;
    await this.climb(this.averaged, images, targets, taken, steps, (i) => randoms[i]);
    return Uint8Array.from(images, (value) => Math.round(255 * value));
  }
}
