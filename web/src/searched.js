// A gradient without a gradient: the network's answers to images that differ a little say where to go.

import { probabilities } from "./fool.js";
import { generator } from "./random.js";
import { SIDE } from "./starts.js";

const PAIRS = 24; // of questions for each image and step
const SHIFT = 0.1; // of a pixel, up in one image of a pair and down in the other
const BLOCK = 4; // pixels move together in squares of this side: there are fewer ways to try

/**
 * An `ask` like that of networks with a gradient, for one without: the gradient of the log-odds is
 * estimated from pairs of images (evolution strategies; Salimans et al. 2017).
 */
export function searched(ask) {
  const random = generator(0);
  const few = SIDE / BLOCK;

  /** 1 or -1 for each pixel, the same within a square. */
  function direction() {
    const signs = Float32Array.from({ length: few * few }, () => (random() < 0.5 ? -1 : 1));
    return Float32Array.from({ length: SIDE * SIDE }, (_, k) => {
      const [row, column] = [Math.floor(k / SIDE), k % SIDE];
      return signs[Math.floor(row / BLOCK) * few + Math.floor(column / BLOCK)];
    });
  }

  async function estimated(image, target) {
    const ways = Array.from({ length: PAIRS }, direction);
    const pixels = image.length;
    const shifted = new Float32Array(2 * PAIRS * pixels);
    ways.forEach((way, p) =>
      way.forEach((sign, k) => {
        shifted[2 * p * pixels + k] = image[k] + SHIFT * sign;
        shifted[(2 * p + 1) * pixels + k] = image[k] - SHIFT * sign;
      }),
    );
    const { logits } = await ask(shifted, Array(2 * PAIRS).fill(target));
    const odds = probabilities(Float32Array.from(logits), 2 * PAIRS).map((row) => {
      const p = Math.min(1 - 1e-7, Math.max(1e-7, row[target]));
      return Math.log(p / (1 - p));
    });
    const gradient = new Float32Array(pixels);
    ways.forEach((way, p) => {
      const slope = (odds[2 * p] - odds[2 * p + 1]) / (2 * SHIFT * PAIRS);
      way.forEach((sign, k) => (gradient[k] += slope * sign));
    });
    return gradient;
  }

  return async (images, targets) => {
    const { logits } = await ask(images, targets);
    const pixels = images.length / targets.length;
    const gradient = new Float32Array(images.length);
    for (let i = 0; i < targets.length; i++)
      gradient.set(await estimated(images.subarray(i * pixels, (i + 1) * pixels), targets[i]), i * pixels);
    return { logits, gradient };
  };
}
