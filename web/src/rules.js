// How an image climbs: the library's `RULES` and `Ascent`, for one image (src/deceive/fooling/{rules,ascent}.py).

const SECOND_MOMENT = 0.9; // how long Adam remembers the size of gradients
const TINY = 1.17549435e-38; // a gradient of zeros stays zero

/** v ← momentum · v + g / mean|g|, written over the state's one image. */
function accumulated(gradient, [velocity], momentum) {
  let size = 0;
  for (const g of gradient) size += Math.abs(g);
  size = Math.max(size / gradient.length, TINY);
  for (let k = 0; k < gradient.length; k++)
    velocity[k] = momentum * velocity[k] + gradient[k] / size;
  return velocity;
}

/** Rules by name: how many images each remembers, and its move: direction and length. */
export const RULES = {
  momentum: {
    memory: 1,
    move: (gradient, state, taken, { momentum, patience, growing }) => ({
      reach:
        (1 + Math.min(taken, growing) / patience) * Math.sqrt(growing / Math.max(taken, growing)),
      direction: accumulated(gradient, state, momentum),
    }),
  },
  sign: {
    memory: 1,
    move: (gradient, state, taken, { momentum }) => ({
      reach: 1,
      direction: accumulated(gradient, state, momentum).map(Math.sign),
    }),
  },
  adam: {
    memory: 2,
    move(gradient, [first, second], taken, { momentum }) {
      const direction = gradient.map((g, k) => {
        first[k] = momentum * first[k] + (1 - momentum) * g;
        second[k] = SECOND_MOMENT * second[k] + (1 - SECOND_MOMENT) * g * g;
        const mean = first[k] / (1 - momentum ** (taken + 1));
        return mean / Math.max(Math.sqrt(second[k] / (1 - SECOND_MOMENT ** (taken + 1))), TINY);
      });
      return { reach: 1, direction };
    },
  },
  normalised: {
    memory: 1,
    move(gradient, state, taken, { momentum }) {
      const velocity = accumulated(gradient, state, momentum);
      let squares = 0;
      for (const v of velocity) squares += v * v;
      const size = Math.max(Math.sqrt(squares / velocity.length), TINY);
      return { reach: 1, direction: velocity.map((v) => v / size) };
    },
  },
};

/** A square image's gradient, blurred by a gaussian of `width` pixels (src/deceive/fooling/softening.py). */
export function softened(gradient, width) {
  const side = Math.sqrt(gradient.length);
  const scale = -1 / (2 * Math.max(width, 1e-3) ** 2);
  const lines = Array.from({ length: side }, (_, i) => {
    const line = Array.from({ length: side }, (_, j) => Math.exp(scale * (i - j) ** 2));
    const sum = line.reduce((a, b) => a + b);
    return line.map((weight) => weight / sum);
  });
  const across = gradient.map((_, k) =>
    lines[k % side].reduce((sum, weight, j) => sum + weight * gradient[k - (k % side) + j], 0),
  );
  return gradient.map((_, k) =>
    lines[Math.floor(k / side)].reduce(
      (sum, weight, i) => sum + weight * across[i * side + (k % side)],
      0,
    ),
  );
}

/** The share of the schedule that is left; 1 without a schedule. */
const left = ({ schedule }, taken) =>
  schedule === null ? 1 : Math.max(0, 1 - taken / schedule.steps);

/** The standard deviation of an image's noise after this many steps. */
export function noiseAfter(ascent, taken) {
  const { noise, schedule } = ascent;
  if (schedule === null) return noise;
  const { leastNoise, noisePower } = schedule;
  return leastNoise + (noise - leastNoise) * left(ascent, taken) ** noisePower;
}

/** The step size after this many steps, before the rule scales it. */
export function sizeAfter(ascent, taken) {
  return ascent.stepSize * left(ascent, taken);
}
