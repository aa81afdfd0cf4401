// A small network in plain JavaScript: answers and gradients before the runtime has been fetched.
// Its weights are the 8-bit copy that src/deceive/webpage/light.py writes.

/** The layers of a light file; each holds its weights (tap, in, out), and (tap, out, in) for the way back. */
function unpack(bytes, layers) {
  let floats = 0; // where the next float is, and the next weight after all floats
  let at = 8 * layers.reduce((sum, { out }) => sum + out, 0);
  const view = new Float32Array(bytes.buffer, bytes.byteOffset, at / 4);
  return layers.map((layer) => {
    const { in: inputs, out, size } = layer;
    const scales = view.subarray(floats, floats + out);
    const biases = view.subarray(floats + out, floats + 2 * out);
    floats += 2 * out;
    const taps = size * size;
    const forward = new Float32Array(out * inputs * taps);
    const back = new Float32Array(out * inputs * taps);
    const whole = new Int8Array(bytes.buffer, bytes.byteOffset + at, forward.length);
    at += forward.length;
    for (let o = 0, k = 0; o < out; o++)
      for (let i = 0; i < inputs; i++)
        for (let tap = 0; tap < taps; tap++, k++) {
          const weight = whole[k] * scales[o];
          forward[(tap * inputs + i) * out + o] = weight;
          back[(tap * out + o) * inputs + i] = weight;
        }
    return { ...layer, biases, forward, back };
  });
}

/** Calls `each` with the tap, and the pixels of output and input that it joins. */
function joined({ size, stride, padding }, from, to, each) {
  for (let row = 0; row < to; row++)
    for (let column = 0; column < to; column++)
      for (let y = 0; y < size; y++) {
        const above = row * stride + y - padding;
        if (above < 0 || above >= from) continue;
        for (let x = 0; x < size; x++) {
          const left = column * stride + x - padding;
          if (left >= 0 && left < from) each(y * size + x, row * to + column, above * from + left);
        }
      }
}

/** A layer's output (pixels, out) for an input (pixels, in). */
function run(layer, input, from, to) {
  const { in: inputs, out, biases, forward, rectified } = layer;
  const output = new Float32Array(to * to * out);
  for (let pixel = 0; pixel < to * to; pixel++) output.set(biases, pixel * out);
  joined(layer, from, to, (tap, there, here) => {
    for (let i = 0; i < inputs; i++) {
      const value = input[here * inputs + i];
      if (value === 0) continue;
      const [first, into] = [(tap * inputs + i) * out, there * out];
      for (let o = 0; o < out; o++) output[into + o] += value * forward[first + o];
    }
  });
  if (rectified) for (let k = 0; k < output.length; k++) if (output[k] < 0) output[k] = 0;
  return output;
}

/** The gradient in a layer's input, from that in its output, which is changed. */
function runBack(layer, output, gradient, from, to) {
  const { in: inputs, out, back, rectified } = layer;
  if (rectified) for (let k = 0; k < output.length; k++) if (output[k] <= 0) gradient[k] = 0;
  const result = new Float32Array(from * from * inputs);
  joined(layer, from, to, (tap, there, here) => {
    for (let o = 0; o < out; o++) {
      const value = gradient[there * out + o];
      if (value === 0) continue;
      const [first, into] = [(tap * out + o) * inputs, here * inputs];
      for (let i = 0; i < inputs; i++) result[into + i] += value * back[first + i];
    }
  });
  return result;
}

/** The gradient, in the logits, of the log-odds of the target against all other outputs. */
function ofLogOdds(logits, target) {
  const others = logits.map((value, k) => (k === target ? -Infinity : value));
  const top = Math.max(...others);
  const powers = others.map((value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power, k) => (k === target ? 1 : -power / sum));
}

/** A function like a session's: images (N, pixels) and targets to logits and gradient, all flat. */
export function lightNetwork(bytes, { layers: described, mean, std }, side) {
  const layers = unpack(bytes, described);
  const sides = [side];
  for (const { size, stride, padding } of layers)
    sides.push(Math.floor((sides.at(-1) + 2 * padding - size) / stride) + 1);

  function one(image, target) {
    const seen = [image.map((pixel) => (pixel - mean) / std)];
    layers.forEach((layer, k) => seen.push(run(layer, seen[k], sides[k], sides[k + 1])));
    const logits = seen.at(-1);
    let gradient = ofLogOdds(logits, target);
    for (let k = layers.length - 1; k >= 0; k--)
      gradient = runBack(layers[k], seen[k + 1], gradient, sides[k], sides[k + 1]);
    return { logits, gradient: gradient.map((slope) => slope / std) };
  }

  function ask(images, targets) {
    const pixels = images.length / targets.length;
    const outputs = layers.at(-1).out;
    const logits = new Float32Array(targets.length * outputs);
    const gradient = new Float32Array(images.length);
    targets.forEach((target, i) => {
      const answer = one(images.subarray(i * pixels, (i + 1) * pixels), target);
      logits.set(answer.logits, i * outputs);
      gradient.set(answer.gradient, i * pixels);
    });
    return { logits, gradient };
  }
  // What it is sure of, the network itself is too, less at most this much.
  return Object.assign(ask, { slack: 1e-3 });
}
