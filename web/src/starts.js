// Start images: the library's starts (src/deceive/fooling/starts.py) with the page's own random
// generator. Images are flat Float32Arrays of 28 × 28 in [0, 1].

import { normal } from "./random.js";

export const SIDE = 28;

const SQUARES = 30; // in an image

const filled = (size, draw) => Float32Array.from({ length: size }, draw);
const clamped = (value) => Math.min(1, Math.max(0, value));

function uniform(random) {
  return filled(SIDE * SIDE, random);
}

function gaussian(random) {
  return filled(SIDE * SIDE, () => clamped(0.5 + 0.2 * normal(random)));
}

function smooth(random) {
  const coarse = Math.ceil(SIDE / 4);
  return enlarged(filled(coarse * coarse, random), coarse, SIDE).map(clamped);
}

function blank() {
  return new Float32Array(SIDE * SIDE);
}

function squares(random) {
  const image = blank();
  for (let number = 0; number < SQUARES; number++) {
    const spent = number / (SQUARES - 1);
    const side = Math.max(1, Math.round((SIDE / 2) * (1 - spent) ** 2));
    const top = Math.floor(random() * (SIDE - side + 1));
    const left = Math.floor(random() * (SIDE - side + 1));
    const colour = Math.round(random());
    for (let row = top; row < top + side; row++)
      image.fill(colour, row * SIDE + left, row * SIDE + left + side);
  }
  return image;
}

export const STARTS = { uniform, gaussian, smooth, blank, squares };

/** A square image enlarged bicubically (Keys 1981 with a = -0.75, pixel centres aligned). */
export function enlarged(image, side, wanted) {
  const weights = Array.from({ length: wanted }, (_, i) => {
    const at = ((i + 0.5) * side) / wanted - 0.5;
    const first = Math.floor(at) - 1;
    return [0, 1, 2, 3].map((n) => ({
      from: Math.min(side - 1, Math.max(0, first + n)),
      weight: cubic(Math.abs(at - (first + n))),
    }));
  });
  const along = (get) => (i) => weights[i].reduce((sum, w) => sum + w.weight * get(w.from), 0);
  const out = new Float32Array(wanted * wanted);
  for (let row = 0; row < wanted; row++)
    for (let column = 0; column < wanted; column++)
      out[row * wanted + column] = along((r) => along((c) => image[r * side + c])(column))(row);
  return out;
}

function cubic(x, a = -0.75) {
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}
