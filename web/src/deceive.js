// Panel 2: one image, from its start to its target, step by step.

import { addressOf, writeAddress } from "./address.js";
import { fromLevels, toLevels } from "./fool.js";
import { networkMenu } from "./menu.js";
import { best, megabytes, percent } from "./networks.js";
import { enlargedLevels, png } from "./png.js";
import { generator } from "./random.js";
import { SIDE, STARTS } from "./starts.js";
import { Bars, Curve, digitChoice, download, show, withArticle } from "./views.js";

const DIGIT = 5; // to begin with

/** `link` is the state that the page's address held, or null: such an image is made at once. */
export function deceivePanel(networks, { onImage, link }) {
  const { rule, judge } = networks.manifest;
  const at = (part) => document.getElementById(`deceive-${part}`);
  const [form, canvas, back, said] = [at("form"), at("image"), at("back"), at("said")];
  const [startChoice, networkChoice, speed] = [at("start"), at("network"), at("speed")];
  const button = Object.fromEntries(
    ["go", "pause", "step", "again", "save", "large", "link", "own"].map((part) => [part, at(part)]),
  );
  const bars = new Bars(at("bars"));
  const curve = new Curve(at("curve"), rule.confidence);

  let seed = Math.floor(Math.random() * 2 ** 31);
  let drawing = null;
  let way = null; // the current run: its settings, and every step so far

  const file = at("file");
  const listed = { ...networks.manifest.networks }; // by name, those that the page brings
  const menu = networkMenu(networkChoice, at("more"), networks);

  const narrow = matchMedia("(max-width: 38rem)"); // there the image stands far below the buttons
  let howOwn = ""; // how the visitor's own network is deceived

  const target = () => Number(new FormData(form).get("target") ?? DIGIT);

  function targets() {
    const digits = networks.digits(networkChoice.value);
    const chosen = target();
    digitChoice(at("targets"), "target", digits, [chosen, DIGIT].find((one) => digits.includes(one)) ?? 0);
    const { outputs } = networks.info(networkChoice.value);
    bars.name(Array.from({ length: outputs }, (_, k) => networks.label(networkChoice.value, k)));
    at("how").textContent = howItGoes(networkChoice.value);
  }

  /** How well a network reads, and what is special about deceiving it. */
  function howItGoes(name) {
    if (name === "own") return howOwn;
    const reads = name in listed ? `It reads ${percent(listed[name].testAccuracy, 2)} of real digits correctly. ` : "";
    if (!networks.draws(name)) return reads;
    return (
      `${reads}It went through the rounds of panel ${name in listed ? 3 : 4}, and draws: every image ` +
      `takes ${networks.rule(name).steps} steps, in noise that falls, whatever the confidence.`
    );
  }

  function startImage() {
    if (startChoice.value === "drawing") return drawing;
    return STARTS[startChoice.value](generator(seed));
  }

  /** Show the current choice, before its first step. */
  function lay() {
    end();
    const start = startImage();
    button.go.disabled = start === null;
    button.again.disabled = true;
    button.step.disabled = start === null;
    button.save.disabled = button.large.disabled = start === null;
    button.link.disabled = start === null || !canBeLinked();
    button.go.textContent = "Deceive";
    said.textContent = start === null ? "Your drawing is empty: draw something in panel 1 first." : "";
    const levels = start === null ? new Uint8Array(SIDE * SIDE) : toLevels(start);
    way = { start, target: target(), network: networkChoice.value, frames: [], levels };
    show(canvas, levels);
    bars.fill(null);
    curve.draw([]);
    at("steps").textContent = "0";
    at("confidence").textContent = "–";
    back.max = back.value = 0;
    back.disabled = true;
    onImage();
    read(way).catch((error) => tell(error, way));
  }

  /** Show what the network makes of the start, if the network is there. */
  async function read(mine) {
    if (mine.start === null || !networks.has(mine.network)) return;
    const [confidences] = await networks.confidences(mine.network, [mine.start]);
    if (way === mine && mine.frames.length === 0) bars.fill(confidences, mine.target);
  }

  /** Whether others have all that the image is made from. */
  const canBeLinked = () =>
    startChoice.value !== "drawing" && networkChoice.value in listed;

  async function useOwn() {
    const [chosen] = file.files;
    if (!chosen) return;
    file.value = ""; // so that the same file can be chosen again
    said.textContent = "Starting your network …";
    const { outputs, exact } = await networks.addOwn(chosen);
    howOwn =
      `Your network has ${outputs} answers. ` +
      (exact
        ? "Its file has its gradient, which the image follows."
        : "Its file has no gradient: each step tries 48 small changes, and follows what helps.");
    choose("own", `your own: ${chosen.name}`);
  }

  function choose(name, text) {
    const known = [...networkChoice.options].find((option) => option.value === name);
    if (known) known.textContent = text;
    else networkChoice.add(new Option(text, name));
    networkChoice.value = name;
    targets();
    lay();
  }

  function end() {
    if (way === null) return;
    way.stopped = true;
    way.deception?.then(
      (deception) => deception.end(),
      () => {}, // the page already shows the error
    );
    way.running = false;
    button.pause.disabled = true;
    button.pause.textContent = "Pause";
  }

  /** Make sure that the run has started; `mine` may have been replaced meanwhile. */
  function begun(mine) {
    mine.deception ??= networks.deceive(mine.network, [mine.target], [mine.start], { seed });
    return mine.deception;
  }

  /** Takes one step at a time, however fast steps are requested. */
  function step(mine) {
    mine.steps = (mine.steps ?? Promise.resolve()).then(() => stepOnce(mine));
    return mine.steps;
  }

  async function stepOnce(mine) {
    if (mine.stopped || mine.finished) return;
    const deception = await begun(mine);
    const { images, finished } = await deception.step();
    if (mine.stopped) return;
    const [image] = images;
    // A step that only checks the 8-bit image has nothing new to show.
    mine.frames[image.steps] = image;
    mine.finished = finished;
    look(mine, mine.frames.length - 1);
    if (finished) await finish(mine, image);
  }

  /** Show the image as it was after this many steps. */
  function look(mine, index) {
    const frame = mine.frames[index];
    show(canvas, frame.levels);
    canvas.setAttribute("aria-label", `The image after ${index} steps`);
    mine.levels = frame.levels;
    const confidences = mine.frames.map((one) => one.confidence);
    curve.draw(confidences, index);
    at("steps").textContent = index;
    at("confidence").textContent = percent(frame.confidence);
    back.max = mine.frames.length - 1;
    back.value = index;
    back.disabled = mine.running || mine.frames.length < 2;
    back.setAttribute("aria-valuetext", `after ${index} steps: ${percent(frame.confidence)}`);
    bars.fill(frame.confidences, mine.target);
  }

  async function run() {
    const mine = way;
    const turn = (mine.turn = {}); // pausing and playing again begins another one
    mine.running = true;
    button.go.disabled = true;
    button.step.disabled = true;
    button.again.disabled = true;
    button.pause.disabled = false;
    button.pause.textContent = "Pause";
    back.disabled = true;
    said.textContent = `Making it ${withArticle(mine.target)} …`;
    if (narrow.matches) canvas.scrollIntoView({ block: "nearest" });
    if (canBeLinked()) writeAddress(state());
    try {
      await networks.load(mine.network, (share) => {
        if (way === mine) said.textContent = fetching(mine.network, share);
      });
      if (mine.running) said.textContent = `Making it ${withArticle(mine.target)} …`;
      let due = performance.now();
      while (mine.running && mine.turn === turn && !mine.finished) {
        await step(mine);
        due = Math.max(performance.now(), due + 1000 / Number(speed.value));
        // A page in the background gets no frames, so there the steps don't wait for them.
        const wait = due - performance.now();
        if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
      }
    } catch (error) {
      tell(error, mine);
    }
  }

  function pause() {
    way.running = false;
    button.pause.textContent = "Play";
    button.go.disabled = false;
    button.step.disabled = false;
    button.again.disabled = false;
    back.disabled = way.frames.length < 2;
    said.textContent = "Paused.";
    onImage();
  }

  async function finish(mine, image) {
    mine.running = false;
    button.pause.disabled = true;
    button.step.disabled = true;
    button.go.disabled = button.again.disabled = false;
    back.disabled = mine.frames.length < 2;
    said.textContent = inWords(mine, image);
    onImage();
    const more = await judged(mine).catch((error) => ` ${error.message}`);
    if (way === mine) said.textContent += more;
  }

  /** What leads to this image again. */
  const state = () => ({ digit: target(), start: startChoice.value, seed, network: networkChoice.value });

  function fetching(name, share) {
    const { bytes } = networks.info(name);
    return `Fetching this network: ${percent(share, 0)} of ${megabytes(bytes)}`;
  }

  /** Make the choices of a link, as far as there are such, and its image. */
  async function follow({ digit, start, seed: from, network }) {
    if (Object.hasOwn(networks.manifest.networks, network)) menu.choose(network);
    if (Object.hasOwn(STARTS, start)) startChoice.value = start;
    if (/^\d{1,10}$/.test(from ?? "")) seed = Number(from) % 2 ** 31;
    targets();
    const wanted = form.querySelector(`input[name=target][value="${Number(digit)}"]`);
    if (wanted) wanted.checked = true;
    lay();
    const mine = way;
    document.getElementById("deceive").scrollIntoView();
    said.textContent = "Fetching the network …";
    // The whole network: its light copy could end a step earlier or later.
    await networks.whole(mine.network);
    if (way === mine) await run();
  }

  function inWords(mine, image) {
    const sure = percent(image.confidence);
    const steps = image.steps === 1 ? "1 step" : `${image.steps.toLocaleString("en-GB")} steps`;
    if (!image.fooled)
      return `After ${steps} the network is only ${sure} sure of ${withArticle(mine.target)}: this image resisted.`;
    if (image.steps === 0)
      return `The network is ${sure} sure that this is ${withArticle(mine.target)}, without a single step.`;
    const first = toLevels(mine.start);
    const moved = first.reduce((sum, level, k) => sum + Math.abs(level - image.levels[k]), 0);
    const mean = (moved / first.length).toFixed(0);
    return (
      `After ${steps} the network is ${sure} sure that this is ${withArticle(mine.target)}. On average a pixel ` +
      `has changed by ${mean} of 255 levels, and the network not at all.`
    );
  }

  /** What the judge sees, if there is one and it isn't the deceived network. */
  async function judged(mine) {
    if (judge === null || judge === mine.network) return "";
    const image = fromLevels(mine.levels);
    const { output, confidence } = best((await networks.confidences(judge, [image]))[0]);
    const agrees = output === mine.target ? "agrees: it says" : "says";
    return ` The judge, another network, ${agrees} ${networks.label(judge, output)}, ${percent(confidence)} sure.`;
  }

  function tell(error, mine) {
    if (mine.stopped) return;
    end();
    mine.deception = undefined;
    said.textContent = error.message;
    button.go.disabled = false;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (way.stopped || way.frames.length > 0) lay();
    run();
  });
  button.pause.addEventListener("click", () => (way.running ? pause() : run()));
  button.step.addEventListener("click", () => {
    const mine = way;
    button.pause.disabled = false;
    button.pause.textContent = "Play";
    button.again.disabled = false;
    said.textContent = "";
    step(mine).catch((error) => tell(error, mine));
  });
  button.again.addEventListener("click", () => {
    seed += 1;
    lay();
    if (way.start !== null) run();
  });
  function save(times) {
    const side = SIDE * times;
    const content = png(enlargedLevels(way.levels, SIDE, times), side, side);
    const size = times > 1 ? `-x${times}` : "";
    download(content, "image/png", `${way.network}-${way.target}${size}.png`);
  }
  button.save.addEventListener("click", () => save(1));
  button.large.addEventListener("click", () => save(16));
  button.link.addEventListener("click", async () => {
    const address = addressOf(state());
    try {
      await navigator.clipboard.writeText(address);
      said.textContent = "The link is copied: it leads to exactly this image.";
    } catch {
      writeAddress(state());
      said.textContent = "The link is in the address bar: copy it from there.";
    }
  });
  back.addEventListener("input", () => {
    look(way, Number(back.value));
    onImage();
  });
  networkChoice.addEventListener("change", targets);
  button.own.addEventListener("click", () => file.click());
  file.addEventListener("change", (event) => {
    event.stopPropagation(); // nothing is laid before the network is there
    useOwn().catch((error) => (said.textContent = error.message));
  });
  // Changing anything except the speed shows a new image.
  form.addEventListener("change", (event) => event.target !== speed && lay());

  targets();
  lay();
  if (link !== null) follow(link).catch((error) => tell(error, way));
  return {
    /** The image as it is now; null for none. */
    levels: () => (way.start === null ? null : way.levels),
    /** A new drawing, or none; shown at once if it is the start. */
    setDrawing(image) {
      drawing = image;
      if (startChoice.value === "drawing") lay();
    },
    /** Choose a network, which may be new or another than before. */
    useNetwork(name, text) {
      choose(name, text);
      if (narrow.matches) button.go.scrollIntoView({ block: "center" });
      else document.getElementById("deceive").scrollIntoView();
      button.go.focus({ preventScroll: true });
    },
    /** Deceive the network with the drawing, which it reads as `seen`, and so as another digit. */
    useDrawing(seen) {
      startChoice.value = "drawing";
      const digits = networks.digits(networkChoice.value);
      const other = target() === seen ? digits[(seen + 5) % digits.length] : target();
      form.querySelector(`input[name=target][value="${other}"]`).checked = true;
      lay();
      document.getElementById("deceive").scrollIntoView();
      button.pause.focus({ preventScroll: true });
      run();
    },
  };
}
