// The networks for the panels: the manifest, and the worker that runs them.

import { probabilities } from "./fool.js";
import { guardedConfidences } from "./guarded.js";
import { fetched } from "./serving.js";

/** The manifest, or an error whose message is a sentence for the page. */
export async function readManifest() {
  const what = "The list of networks";
  const bytes = await fetched(new URL("networks/manifest.json", document.baseURI), what);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error(`${what} could not be read: the host sends something else.`);
  }
}

/** A number of bytes, in words. */
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

export class Networks {
  #worker;
  #waiting = new Map();
  #loading = new Map(); // what of each network is under way, or there
  #whole = new Set(); // networks that are there, and not their light copies
  #next = 0;

  #shares = new Map(); // who hears which share of a network has come, by its name

  /** Hears of everything that is fetched: the network's name, and which share of it has come. */
  onShare = () => {};

  constructor(manifest) {
    this.manifest = manifest;
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data: { id, value, error, bytes } }) => {
      const { resolve, reject, onBytes } = this.#waiting.get(id);
      if (bytes !== undefined) return onBytes(bytes);
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

  #ask(action, request, onBytes = () => {}) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onBytes });
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

  /**
   * Fetch a network, once, so that it can be asked; of one with a light copy, that. `onShare` hears
   * which share of it has come.
   */
  load(name, onShare) {
    return this.info(name).light && !this.#whole.has(name) ? this.#light(name) : this.whole(name, onShare);
  }

  /** Fetch a network itself, once; a failure may be tried again. */
  whole(name, onShare) {
    if (onShare) this.#shares.set(name, onShare);
    return this.#once(name, () => {
      const { file, bytes, imageShape: shape } = this.info(name);
      return this.#fetch("load", name, file, bytes, { shape }).then(() => this.#whole.add(name));
    });
  }

  /** Whether a network itself is there. */
  has(name) {
    return this.#whole.has(name);
  }

  /** Add a network, or replace the one of its name: what the manifest would say, and its file. */
  add(info, bytes) {
    const { name, imageShape: shape } = info;
    this.manifest.networks[name] = info;
    const loading = this.#ask("load", { name, bytes, shape }).then(() => this.#whole.add(name));
    this.#loading.set(name, loading);
    return loading;
  }

  /** Add a visitor's own network from its file, under the name `own`; what it gives. */
  async addOwn(file) {
    const name = "own";
    const described = await this.#ask("loadOwn", { name, bytes: await file.arrayBuffer() });
    const { ascent, imageShape } = this.info(this.manifest.default);
    const outputs = described.outputs;
    this.manifest.networks[name] = { name, ascent, imageShape, outputs, rubbishClass: null };
    this.#loading.set(name, Promise.resolve());
    this.#whole.add(name);
    return described;
  }

  /** How many bytes have yet to be fetched before all these networks are there. */
  sizeOf(names) {
    const missing = names.filter((name) => !this.#whole.has(name) && !this.#waitingFor(name));
    return missing.reduce((sum, name) => sum + this.info(name).bytes, 0);
  }

  /** Whether the page fetches a network anyway. */
  #waitingFor(name) {
    return name === this.manifest.default || name === this.manifest.judge;
  }

  #light(name) {
    return this.#once(`${name}, light`, () => {
      const { light, imageShape: shape } = this.info(name);
      const { file, bytes, ...described } = light;
      return this.#fetch("loadLight", name, file, bytes, { described, shape });
    });
  }

  #once(key, start) {
    if (!this.#loading.has(key)) {
      const loading = start();
      loading.catch(() => this.#loading.delete(key));
      this.#loading.set(key, loading);
    }
    return this.#loading.get(key);
  }

  #fetch(action, name, file, bytes, request) {
    const url = new URL(`networks/${file}`, document.baseURI).href;
    const tell = (came) => {
      const share = Math.min(1, came / bytes);
      this.onShare(name, share);
      this.#shares.get(name)?.(share);
    };
    return this.#ask(action, { name, url, ...request }, tell);
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
