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
};

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
