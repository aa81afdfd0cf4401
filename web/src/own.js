// A visitor's own network, from an ONNX file: what it takes and gives, and how it is asked.

import { searched } from "./searched.js";
import { SIDE } from "./starts.js";

const PIXELS = SIDE * SIDE;
const MOST = 20; // outputs that the page has room for

/** Its `ask`, as networks of the page have it, and what to say about it. */
export async function ownNetwork(ort, session) {
  const { inputMetadata: inputs, outputMetadata: outputs } = session;
  const input = inputs.find(({ type, name }) => type === "float32" && name !== "noise");
  const shape = input?.shape ?? [];
  const fixed = shape.slice(1).filter((size) => typeof size === "number");
  if (fixed.length !== shape.length - 1 || fixed.reduce((a, b) => a * b, 1) !== PIXELS)
    throw new Error(
      `This page has grey images of ${SIDE} × ${SIDE} in float32, each pixel from 0 to 1; ` +
        `your network takes ${shape.join(" × ") || "something else"}.`,
    );
  const gives = (name) => outputs.some((one) => one.name === name);
  const takes = (name) => inputs.some((one) => one.name === name);
  const exact = gives("gradient") && takes("targets");
  const others = inputs.filter(({ name }) => ![input.name, "targets", "noise"].includes(name));
  if (others.length > 0)
    throw new Error(`Your network has an input that this page can’t fill: ${others[0].name}.`);
  const answer = gives("logits") ? "logits" : outputs[0].name;
  const alone = typeof shape[0] === "number"; // takes so many images at a time

  async function run(images, targets) {
    const n = images.length / PIXELS;
    const given = { [input.name]: new ort.Tensor("float32", images, [n, ...fixed]) };
    if (takes("targets"))
      given.targets = new ort.Tensor("int64", BigInt64Array.from(targets, BigInt), [n]);
    if (takes("noise")) given.noise = new ort.Tensor("float32", new Float32Array(n), [n]);
    const results = await session.run(given);
    return { logits: results[answer].data, gradient: exact ? results.gradient.data : null };
  }

  async function oneByOne(images, targets) {
    const parts = [];
    for (let k = 0; k < targets.length; k++)
      parts.push(await run(images.slice(k * PIXELS, (k + 1) * PIXELS), [targets[k]]));
    const joined = (all) => Float32Array.from(all.flatMap((part) => [...part]));
    return {
      logits: joined(parts.map(({ logits }) => logits)),
      gradient: exact ? joined(parts.map(({ gradient }) => gradient)) : null,
    };
  }

  if (alone && shape[0] !== 1)
    throw new Error(`Your network takes ${shape[0]} images at a time; this page needs 1, or any number.`);
  const asked = alone ? oneByOne : run;
  const first = await asked(new Float32Array(PIXELS).fill(0.5), [0]);
  const count = first.logits.length;
  if (count < 2 || count > MOST)
    throw new Error(`This page shows networks of 2 to ${MOST} answers; yours gives ${count}.`);
  const shares = areShares(first.logits);
  const logits = async (images, targets) => {
    const answered = await asked(images, targets);
    return shares ? { ...answered, logits: answered.logits.map(Math.log) } : answered;
  };
  return { ask: exact ? logits : searched(logits), described: { outputs: count, exact } };
}

/** Whether answers are probabilities already. */
function areShares(row) {
  const sum = row.reduce((a, b) => a + b, 0);
  return row.every((value) => value >= 0 && value <= 1) && Math.abs(sum - 1) < 1e-3;
}
