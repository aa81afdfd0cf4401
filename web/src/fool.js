// The library's `fool`, step for step (src/deceive/fooling.py): what is changed there is changed
// here, and a test compares the two pixel by pixel.

/** Images in [0, 1] as levels 0 to 255, a half to the even one, as torch rounds. */
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

/**
 * N images on their way from their starts to their targets, against one network.
 *
 * `ask(images, targets)` gives logits (N, K) and gradient (N, C·H·W) of the log-odds, both flat.
 * `rule` is the manifest's: confidence, steps, stepSize, momentum, patience, slack.
 */
export class Deception {
  constructor(ask, targets, starts, rule) {
    this.ask = ask;
    this.rule = rule;
    this.passing = rule.confidence + Math.min(rule.slack, (1 - rule.confidence) / 2);
    this.images = targets.map((target, i) => ({
      target,
      pixels: Float32Array.from(starts[i]),
      velocity: new Float32Array(starts[i].length),
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

  /** Ask the network, let those go that are there or out of steps, and move the others. */
  async step() {
    const batch = this.images.filter((image) => !image.finished);
    if (batch.length === 0) return;
    const { logits, gradient } = await this.ask(
      joined(batch.map((image) => image.pixels)),
      batch.map((image) => image.target),
    );
    probabilities(logits, batch.length).forEach((row, i) => {
      batch[i].confidences = row;
      batch[i].confidence = row[batch[i].target];
      batch[i].levels = toLevels(batch[i].pixels);
      batch[i].at = batch[i].taken;
    });

    // Whoever seems to be there, or is out of steps, is asked about as a PNG will hold it.
    const { confidence, steps } = this.rule;
    const due = batch.filter((image) => image.taken >= steps || image.confidence >= confidence);
    if (due.length > 0) {
      const exact = await this.ask(
        joined(due.map((image) => fromLevels(image.levels))),
        due.map((image) => image.target),
      );
      probabilities(exact.logits, due.length).forEach((row, i) => {
        due[i].confidences = row;
        due[i].confidence = row[due[i].target];
        due[i].fooled = due[i].confidence >= this.passing;
        due[i].finished = due[i].fooled || due[i].taken >= steps;
      });
    }

    const size = gradient.length / batch.length;
    batch.forEach((image, i) => {
      if (!image.finished) this.#move(image, gradient.subarray(i * size, (i + 1) * size));
    });
  }

  /** One step up the gradient, with momentum; pixels that a bound holds back count for nothing. */
  #move(image, gradient) {
    const { pixels, velocity } = image;
    const { momentum, stepSize, patience } = this.rule;
    const held = gradient.map(
      (g, k) => (pixels[k] <= 0 && g < 0) || (pixels[k] >= 1 && g > 0),
    );
    let size = 0;
    for (let k = 0; k < gradient.length; k++) if (!held[k]) size += Math.abs(gradient[k]);
    size = Math.max(size / gradient.length, 1.17549435e-38); // a gradient of zeros stays zero
    const reach = stepSize * (1 + image.taken / patience);
    for (let k = 0; k < pixels.length; k++) {
      velocity[k] = held[k] ? 0 : momentum * velocity[k] + gradient[k] / size;
      pixels[k] = Math.min(1, Math.max(0, pixels[k] + reach * velocity[k]));
    }
    image.taken += 1;
  }
}
