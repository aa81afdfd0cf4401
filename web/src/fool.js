// The library's `fool`, step for step (src/deceive/fooling/fool.py). Change both together: a test
// compares them pixel by pixel.

import { generator, normal } from "./random.js";
import { RULES, noiseAfter, sizeAfter, softened } from "./rules.js";

/** Images in [0, 1] as levels 0 to 255; halves are rounded to even, as in torch. */
export function toLevels(image) {
  const levels = new Uint8Array(image.length);
  for (let k = 0; k < image.length; k++) {
    const value = Math.fround(image[k] * 255);
    const down = Math.floor(value);
    const up = value - down > 0.5 || (value - down === 0.5 && down % 2 === 1);
    levels[k] = Math.min(255, Math.max(0, down + (up ? 1 : 0)));
  }
  return levels;
}

/** Levels 0 to 255 as float32 images in [0, 1]. */
export function fromLevels(levels) {
  return Float32Array.from(levels, (level) => level / 255);
}

/** Softmax over all outputs: (N, K) logits, one row after the other, to N arrays of K. */
export function probabilities(logits, n) {
  const k = logits.length / n;
  return Array.from({ length: n }, (_, i) => {
    const row = logits.subarray(i * k, (i + 1) * k);
    const top = row.reduce((a, b) => Math.max(a, b));
    const powers = Array.from(row, (value) => Math.exp(value - top));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  });
}

function joined(images) {
  const all = new Float32Array(images.length * (images[0]?.length ?? 0));
  images.forEach((image, i) => all.set(image, i * image.length));
  return all;
}

function note(image, { confidences }) {
  image.confidences = confidences;
  image.confidence = confidences[image.target];
}

/**
 * N images being optimised towards their targets, against one network.
 *
 * `ask(images, targets, noise)` returns logits (N, K) and gradient (N, C·H·W) of the log-odds, both
 * flat; `noise` holds the standard deviations (N) to tell the network. `rule` is the
 * manifest's, with the network's ascent: confidence, steps, patience, growing, slack, ascent, and a
 * seed for the ascent's noise. With a confidence of null every image takes all its steps.
 */
export class Deception {
  constructor(ask, targets, starts, rule) {
    this.ask = ask;
    this.rule = rule;
    const asked = rule.confidence ?? 0.5;
    this.passing = asked + Math.min(rule.slack, (1 - asked) / 2);
    this.images = targets.map((target, i) => ({
      target,
      pixels: Float32Array.from(starts[i]),
      state: Array.from(
        { length: RULES[rule.ascent.rule].memory },
        () => new Float32Array(starts[i].length),
      ),
      random: generator(rule.seed ?? 0, i + 1), // of its noise
      taken: 0,
      levels: toLevels(starts[i]),
      at: 0, // the steps that levels and confidences are after
      confidences: [],
      confidence: 0,
      fooled: false,
      finished: false,
    }));
  }

  get finished() {
    return this.images.every((image) => image.finished);
  }

  /** Run the network, remove images that fool or are out of steps, and move the others. */
  async step() {
    const batch = this.images.filter((image) => !image.finished);
    if (batch.length === 0) return;
    const { confidence, steps, ascent } = this.rule;
    const answers = await this.#ask(batch, (image) => image.pixels);
    batch.forEach((image, i) => {
      image.answer = answers[i];
      image.levels = toLevels(image.pixels);
      image.at = image.taken;
      note(image, answers[i]);
    });

    // An image that seems to fool, or is out of steps, is checked as a PNG will hold it.
    const seems = (image) => confidence !== null && image.confidence >= confidence;
    const due = batch.filter((image) => image.taken >= steps || seems(image));
    const exact = await this.#ask(due, (image) => fromLevels(image.levels));
    due.forEach((image, i) => {
      note(image, exact[i]);
      image.fooled = image.confidence >= this.passing;
      image.finished = image.fooled || image.taken >= steps;
    });

    // The others take a step, along the gradient in the ascent's noise.
    const stay = batch.filter((image) => !image.finished);
    if (ascent.noise > 0) {
      const noise = stay.map((image) => noiseAfter(ascent, image.taken));
      const shaken = ({ pixels, random }, i) => pixels.map((x) => x + noise[i] * normal(random));
      const noisy = await this.#ask(stay, shaken, noise);
      stay.forEach((image, i) => (image.answer = noisy[i]));
    }
    for (const image of stay) this.#move(image, image.answer);
  }

  /** The network's confidences and gradient for each image, as shown to it. */
  async #ask(images, seen, noise = images.map(() => 0)) {
    const n = images.length;
    if (n === 0) return [];
    const { logits, gradient } = await this.ask(
      joined(images.map(seen)),
      images.map((image) => image.target),
      noise,
    );
    const size = gradient.length / n;
    return probabilities(logits, n).map((confidences, i) => ({
      confidences,
      gradient: gradient.slice(i * size, (i + 1) * size),
    }));
  }

  /**
   * One step up the gradient, by the ascent's rule; pixels held back by a bound don't count.
   */
  #move(image, { gradient }) {
    const { pixels, state, taken } = image;
    const { ascent, patience, growing } = this.rule;
    if (ascent.softness > 0)
      gradient = softened(gradient, ascent.softness * noiseAfter(ascent, taken));
    for (let k = 0; k < pixels.length; k++) {
      if ((pixels[k] <= 0 && gradient[k] < 0) || (pixels[k] >= 1 && gradient[k] > 0)) {
        gradient[k] = 0;
        for (const one of state) one[k] = 0;
      }
    }
    const { move } = RULES[ascent.rule];
    const { reach, direction } = move(gradient, state, taken, { ...ascent, patience, growing });
    const size = reach * sizeAfter(ascent, taken);
    for (let k = 0; k < pixels.length; k++)
      pixels[k] = Math.min(1, Math.max(0, pixels[k] + size * direction[k]));
    image.taken += 1;
  }
}
