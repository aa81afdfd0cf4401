// Panel 4: rounds with a network of the visitor's own, played live.

import { fromLevels, toLevels } from "./fool.js";
import { best, percent } from "./networks.js";
import { png } from "./png.js";
import { generator } from "./random.js";
import { SIDE, STARTS } from "./starts.js";
import { ShareCurve } from "./teach-curve.js";
import { Teacher } from "./teach-network.js";
import { Pad } from "./teach-pad.js";
import { canvasOf, element, show, withArticle } from "./views.js";

const PIXELS = SIDE * SIDE;
const NAME = "yours"; // of the network, for panel 2
const COPIES = 4; // of a scribble, in every round from now on
const ACROSS = 5; // images in a row of the picture that is saved

export function teachPanel(networks, { onDeceive }) {
  const { judge } = networks.manifest;
  const at = (part) => document.getElementById(`teach-${part}`);
  const [said, back, reading] = [at("said"), at("back"), at("read")];
  const button = Object.fromEntries(
    ["go", "anew", "deceive", "save", "save-images", "rubbish", "clear"].map((part) => [part, at(part)]),
  );
  const curve = new ShareCurve(at("curve"));
  const pad = new Pad(at("pad"), scribbled);

  let teacher = null;
  let settings = null; // of the rounds
  let looks = []; // of this network: round, images, and whether the judge recognises each
  let playing = false;
  let shown = 0; // the look that the visitor looks at

  const frames = Array.from({ length: 10 }, (_, digit) => {
    const label = `The static that the image for ${digit} begins with`;
    const canvas = canvasOf(toLevels(STARTS.uniform(generator(digit))), label);
    const caption = element("figcaption", {}, String(digit));
    const frame = element("figure", {}, canvas, caption);
    at("images").append(frame);
    return { frame, canvas, caption };
  });

  /** The worker, with all that it needs, fetched once. */
  async function loaded() {
    teacher ??= new Teacher({ onLook: took, onTrouble: trouble });
    settings = await teacher.ask("load");
    return teacher;
  }

  /** Begin with an untaught network. */
  async function begin(seed) {
    await loaded();
    looks = [];
    took(await teacher.ask("begin", { seed }));
  }

  async function start() {
    button.go.disabled = button.anew.disabled = true;
    try {
      if (looks.length === 0) {
        said.textContent = "Fetching the digits …";
        await begin(Math.floor(Math.random() * 2 ** 31));
      }
      await go();
    } catch (error) {
      trouble(error.message);
    }
  }

  /** Say what the rounds run on; the graphics card is tried once, when rounds are played. */
  let tried = null;
  async function hurry() {
    const where = at("where");
    where.textContent = "Runs on one core of the processor.";
    if (navigator.connection?.saveData) return;
    try {
      const { found, used, agrees, usual, other } = await (tried ??= teacher.ask("hurry"));
      if (!found) return;
      const times = `a round takes ${other.toFixed(0)} ms there and ${usual.toFixed(0)} on the processor`;
      if (used) where.textContent = `Runs on the graphics card: ${times}.`;
      else if (agrees) where.textContent += ` The graphics card is no quicker: ${times}.`;
      else where.textContent += " The graphics card gives other answers, so it isn’t used.";
    } catch (error) {
      where.textContent += ` The graphics card can’t be used: ${error.message}`;
    }
  }

  async function go() {
    await teacher.ask("play");
    hurry();
    playing = true;
    said.textContent = "Teaching: deceive, teach, repeat.";
    tell();
  }

  async function pause() {
    playing = false;
    await teacher.ask("pause");
    said.textContent = "Paused.";
    tell();
  }

  async function anew() {
    button.go.disabled = button.anew.disabled = true;
    try {
      await begin(Math.floor(Math.random() * 2 ** 31));
      await go();
    } catch (error) {
      trouble(error.message);
    }
  }

  function trouble(message) {
    playing = false;
    said.textContent = message;
    button.go.disabled = false;
    button.go.textContent = looks.length ? "Go on" : "Start";
  }

  function tell() {
    button.go.disabled = button.anew.disabled = false;
    button.go.textContent = playing ? "Pause" : "Go on";
    for (const part of ["deceive", "save", "save-images"]) button[part].disabled = false;
    back.disabled = playing || looks.length < 2;
    scribbled();
  }

  /** A look has come: show its images at once, and the judge's answer when it is there. */
  async function took({ number, targets, levels, fixed, speed = null }) {
    const look = { number, levels: levels.slice(0, fixed * PIXELS), targets, recognised: null };
    looks.push(look);
    at("number").textContent = number.toLocaleString("en-GB");
    if (speed !== null) at("speed").textContent = speed.toFixed(speed < 10 ? 1 : 0);
    back.max = looks.length - 1;
    turnTo(looks.length - 1);
    if (judge === null) return;
    const images = targets.map((_, i) => fromLevels(levels.subarray(i * PIXELS, (i + 1) * PIXELS)));
    try {
      const answers = await networks.confidences(judge, images);
      look.recognised = answers.map((confidences, i) => best(confidences).output === targets[i]);
    } catch (error) {
      trouble(error.message);
      return;
    }
    if (looks[shown] === look) turnTo(shown);
    scribbled();
  }

  /** The judged looks, each with the share of itself and the one before it. */
  function points() {
    const judged = looks.filter(({ recognised }) => recognised !== null);
    return judged.map(({ number, recognised }, k) => {
      const both = [...recognised, ...(k > 0 ? judged[k - 1].recognised : [])];
      return { number, share: both.filter(Boolean).length / both.length };
    });
  }

  /** Show one of the looks. */
  function turnTo(index) {
    shown = index;
    const { number, levels, targets, recognised } = looks[index];
    frames.forEach(({ frame, canvas, caption }, i) => {
      show(canvas, levels.subarray(i * PIXELS, (i + 1) * PIXELS));
      const agrees = recognised?.[i] ?? false;
      frame.classList.toggle("agrees", agrees);
      caption.textContent = `${targets[i]}${agrees ? " ✓" : ""}`;
      canvas.setAttribute("aria-label", `The image for ${targets[i]} after ${number} rounds`);
    });
    back.value = index;
    back.setAttribute("aria-valuetext", `after ${number} rounds`);
    const all = points();
    const mark = all.findIndex((point) => point.number === number);
    curve.draw(all, mark < 0 ? undefined : mark);
    const now = all[mark < 0 ? all.length - 1 : mark];
    at("share").textContent = now ? percent(now.share, 0) : "–";
  }

  /** Read the scribble with the current network, and again if it changes meanwhile. */
  let asking = false;
  let changed = false;
  async function scribbled() {
    let image = pad.image();
    button.clear.disabled = image === null;
    button.rubbish.disabled = image === null || looks.length === 0;
    changed = true;
    if (image === null) reading.textContent = "";
    if (asking || looks.length === 0) return;
    asking = true;
    for (; changed && image !== null; image = pad.image()) {
      changed = false;
      tellReading(await readingOf(image));
    }
    asking = false;
  }

  /** Show an answer about the scribble, unless the scribble is gone. */
  function tellReading(text) {
    if (pad.image() !== null) reading.textContent = text;
  }

  async function readingOf(image) {
    try {
      const { output, confidence } = best(await teacher.ask("read", { image }));
      const what = output === settings.classes ? "rubbish" : withArticle(output);
      return `After ${looks.at(-1).number} rounds it is ${percent(confidence, 0)} sure that this is ${what}.`;
    } catch (error) {
      return error.message;
    }
  }

  async function network() {
    const { bytes, number } = await teacher.ask("network");
    return { bytes, number };
  }

  async function deceiveIt() {
    const { bytes, number } = await network();
    const { ascent, classes } = settings;
    const info = { name: NAME, outputs: classes + 1, rubbishClass: classes, ascent };
    await networks.add({ ...info, imageShape: [1, SIDE, SIDE] }, bytes);
    onDeceive(NAME, `yours, after ${number.toLocaleString("en-GB")} rounds`);
  }

  function save(content, type, name) {
    const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  function saveImages() {
    const { levels, number } = looks[shown];
    const sheet = new Uint8Array(levels.length);
    for (let i = 0; i < frames.length; i++)
      for (let row = 0; row < SIDE; row++) {
        const from = i * PIXELS + row * SIDE;
        const to = ((Math.floor(i / ACROSS) * SIDE + row) * ACROSS + (i % ACROSS)) * SIDE;
        sheet.set(levels.subarray(from, from + SIDE), to);
      }
    const height = (frames.length / ACROSS) * SIDE;
    save(png(sheet, ACROSS * SIDE, height), "image/png", `rounds-${number}.png`);
  }

  /** A listener whose failure is told. */
  const or = (act) => () => act().catch((error) => trouble(error.message));
  button.go.addEventListener("click", or(() => (playing ? pause() : start())));
  button.anew.addEventListener("click", or(anew));
  button.deceive.addEventListener("click", or(deceiveIt));
  button.save.addEventListener("click", or(async () => {
    const { bytes, number } = await network();
    save(bytes, "application/octet-stream", `yours-${number}.onnx`);
  }));
  button["save-images"].addEventListener("click", saveImages);
  button.clear.addEventListener("click", () => pad.clear());
  button.rubbish.addEventListener("click", or(async () => {
    await teacher.ask("rubbish", { image: pad.image(), copies: COPIES });
    tellReading("It is rubbish from the next round on.");
    if (!playing) await go();
  }));
  back.addEventListener("input", () => turnTo(Number(back.value)));
  return {
    /** For tests and the console: what happened so far, and the worker's actions. */
    points,
    ask: async (...request) => (await loaded()).ask(...request),
  };
}
