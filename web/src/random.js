// Random numbers, the same for the same seed.

/** Uniform numbers from [0, 1) (mulberry32); each seed has many streams. */
export function generator(seed, stream = 0) {
  let state = Math.imul(seed, 0x9e3779b9) ^ Math.imul(stream, 0x85ebca6b);
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A standard normal number (Box and Muller 1958). */
export function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Add normal numbers with a standard deviation to part of an array: two for each pair of draws. */
export function shake(values, from, to, deviation, random) {
  for (let k = from; k < to; k += 2) {
    const length = deviation * Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    values[k] += length * Math.cos(angle);
    if (k + 1 < to) values[k + 1] += length * Math.sin(angle);
  }
}
