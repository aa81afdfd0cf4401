// The networks for the panels: the manifest, and the worker that runs them.

import { probabilities } from "./fool.js";
import { guardedConfidences } from "./guarded.js";

/** The manifest, or an error whose message is a sentence for the page. */
export async function readManifest() {
  const url = new URL("networks/manifest.json", document.baseURI);
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(`The list of networks could not be fetched: ${error.message}.`);
  }
  if (!response.ok)
    throw new Error(`The list of networks could not be fetched: the host says ${response.status}.`);
  return response.json();
}

export class Networks {
  #worker;
  #waiting = new Map();
  #loading = new Map();
  #next = 0;

  constructor(manifest) {
    this.manifest = manifest;
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data: { id, value, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`The worker that runs the networks stopped: ${event.message ?? "?"}.`));
      this.#waiting.clear();
    };
  }

  #ask(action, request) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, action, ...request });
    });
  }

  info(name) {
    return this.manifest.networks[name];
  }

  /** The classes that are digits: all outputs except rubbish. */
  digits(name) {
    const { outputs, rubbishClass } = this.info(name);
    return Array.from({ length: outputs }, (_, k) => k).filter((k) => k !== rubbishClass);
  }

  /** What an output stands for. */
  label(name, output) {
    return output === this.info(name).rubbishClass ? "rubbish" : String(output);
  }

  /** Whether a network draws: its images go through a whole schedule, and never leave early. */
  draws(name) {
    return this.info(name).ascent.schedule !== null;
  }

  /** How images climb against a network; one that draws takes all its schedule's steps. */
  rule(name) {
    const { ascent } = this.info(name);
    const all = this.draws(name) ? { confidence: null, steps: ascent.schedule.steps } : {};
    return { ...this.manifest.rule, ascent, ...all };
  }

  /** Fetch a network, once; a failure may be tried again. */
  load(name) {
    if (!this.#loading.has(name)) {
      const { file, imageShape: shape } = this.info(name);
      const url = new URL(`networks/${file}`, document.baseURI).href;
      const loading = this.#ask("load", { name, url, shape });
      loading.catch(() => this.#loading.delete(name));
      this.#loading.set(name, loading);
    }
    return this.#loading.get(name);
  }

  /** Add a network, or replace the one of its name: what the manifest would say, and its file. */
  async add(info, bytes) {
    const { name, imageShape: shape } = info;
    this.manifest.networks[name] = info;
    const loading = this.#ask("load", { name, bytes, shape, again: true });
    this.#loading.set(name, loading);
    return loading;
  }

  /** The confidences (K) that a network gives each image. */
  async confidences(name, images) {
    await this.load(name);
    const all = new Float32Array(images.length * images[0].length);
    images.forEach((image, i) => all.set(image, i * image.length));
    const n = images.length;
    return probabilities(await this.#ask("logits", { network: name, images: all, n }), n);
  }

  /** For each image the confidences of the guarded network: its reader's alone, and behind the guard. */
  async guarded(images) {
    const settings = this.manifest.guarded;
    const readers = await this.confidences(settings.reader, images);
    const guards = await this.confidences(settings.guard, images);
    return readers.map((alone, i) => ({
      alone,
      behind: guardedConfidences(guards[i], alone, settings),
    }));
  }

  /** A deception that has started; fields of `rule` replace those of the network's rule. */
  async deceive(name, targets, starts, rule = {}) {
    await this.load(name);
    const run = this.#next++;
    const whole = { ...this.rule(name), ...rule };
    await this.#ask("begin", { run, network: name, targets, starts, rule: whole });
    return {
      step: (count = 1) => this.#ask("step", { run, count }),
      pixels: () => this.#ask("pixels", { run }),
      end: () => this.#ask("end", { run }),
    };
  }
}

/** The greatest of some confidences: which output, and how sure. */
export function best(confidences) {
  const output = confidences.indexOf(Math.max(...confidences));
  return { output, confidence: confidences[output] };
}

/** A share as a percentage, rounded down, so that 99% means at least 99%. */
export function percent(share, digits = 1) {
  const scale = 10 ** digits;
  // 0.9934 * 10000 may be 9933.999….
  return `${(Math.floor(share * 100 * scale + 1e-6) / scale).toFixed(digits)}%`;
}
