// Turns a drawing into an image like MNIST's: at most 20 × 20, centred by mass in 28 × 28.

import { SIDE } from "./starts.js";

const BOX = 20;
const CENTRE = 14; // where the mass of MNIST's own images lies, in both directions

/** Ink in [0, 1], (height, width) flat, as a 28 × 28 image; null when there is none. */
export function preprocess(ink, width, height) {
  const box = inked(ink, width, height);
  if (box === null) return null;
  const scale = BOX / Math.max(box.width, box.height);
  const [wide, high] = [box.width, box.height].map((n) => Math.max(1, Math.round(n * scale)));
  const small = shrunk(ink, width, box, wide, high);
  const { x, y } = centreOfMass(small, wide);
  // Whole pixels, and never so far that ink would leave the image.
  const left = Math.min(SIDE - wide, Math.max(0, Math.round(CENTRE - x)));
  const top = Math.min(SIDE - high, Math.max(0, Math.round(CENTRE - y)));
  const image = new Float32Array(SIDE * SIDE);
  for (let row = 0; row < high; row++)
    image.set(small.subarray(row * wide, (row + 1) * wide), (top + row) * SIDE + left);
  return image;
}

function inked(ink, width, height) {
  let [left, right, top, bottom] = [width, -1, height, -1];
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      if (ink[row * width + column] > 0.1) {
        left = Math.min(left, column);
        right = Math.max(right, column);
        top = Math.min(top, row);
        bottom = row;
      }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** The box at (wide, high): each pixel the mean of the ink that it covers. */
function shrunk(ink, width, box, wide, high) {
  const columns = shares(box.width, wide);
  const rows = shares(box.height, high);
  const out = new Float32Array(wide * high);
  for (let row = 0; row < high; row++)
    for (let column = 0; column < wide; column++)
      for (const r of rows[row])
        for (const c of columns[column])
          out[row * wide + column] +=
            r.share * c.share * ink[(box.top + r.from) * width + box.left + c.from];
  return out;
}

/** For each of `wanted` pixels, which of `length` pixels it covers, and with what weight. */
function shares(length, wanted) {
  const step = length / wanted;
  return Array.from({ length: wanted }, (_, i) => {
    const [begin, end] = [i * step, (i + 1) * step];
    const parts = [];
    for (let from = Math.floor(begin); from < Math.min(length, end); from++) {
      const covered = Math.min(end, from + 1) - Math.max(begin, from);
      if (covered > 1e-9) parts.push({ from, share: covered / step });
    }
    return parts;
  });
}

function centreOfMass(image, width) {
  let [mass, x, y] = [0, 0, 0];
  image.forEach((value, k) => {
    mass += value;
    x += value * (k % width);
    y += value * Math.floor(k / width);
  });
  return { x: x / mass, y: y / mass };
}
