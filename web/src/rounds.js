// Panel 3: the same deception against every network of the rounds, side by side.

import { best, megabytes, percent } from "./networks.js";
import { fromLevels, toLevels } from "./fool.js";
import { generator } from "./random.js";
import { fetched } from "./serving.js";
import { SIDE, STARTS } from "./starts.js";
import { canvasOf, digitChoice, element, show, withArticle } from "./views.js";

const STEPS = 300; // the most that an image may take here; a network that resists may take them all
const PACE = 50; // the least milliseconds per step of a drawing, so that one can watch

export function roundsPanel(networks) {
  const { manifest } = networks;
  const at = (part) => document.getElementById(`rounds-${part}`);
  const [form, slider, chosen, strip, said] = ["form", "slider", "chosen", "strip", "said"].map(at);
  const button = { go: at("go"), one: at("one"), stop: at("stop") };
  const entries = manifest.rounds;
  const digits = networks.digits(entries[0].network);
  const draws = ({ network }) => networks.draws(network);
  const allDraw = entries.every(draws);

  at("words").replaceChildren(...words(networks).map((text) => element("p", {}, text)));
  digitChoice(at("targets"), "rounds-target", [...digits, "all"], 5);
  slider.max = entries.length - 1;
  slider.value = allDraw ? slider.max : 0; // the last one first: its images are the most interesting
  slider.disabled = false;

  let seed = 1;
  let race = null; // the current one: its targets, and the state of every network

  const title = ({ network, round }) => (round === null ? network : `Round ${round.toLocaleString("en-GB")}`);
  const subtitle = ({ network }) => `reads ${percent(networks.info(network).testAccuracy, 2)}`;

  /** What the form asks for. */
  function targets() {
    const chosen = new FormData(form).get("rounds-target");
    return chosen === "all" ? digits : [Number(chosen)];
  }

  let previews = null; // levels (10 + networks × 10 images), recorded when the page was made

  /** What was recorded for these targets; new static where nothing was. */
  function preview(targets) {
    lay(targets);
    const rows = entries.map(({ network }) => recordedFor(network));
    if (previews === null || rows.includes(undefined)) return;
    const image = (number) => previews.subarray(number * SIDE * SIDE, (number + 1) * SIDE * SIDE);
    race.lanes.forEach((lane, k) => {
      const { confidences, steps, fooled, judged } = rows[k];
      lane.finished = true;
      lane.images = targets.map((target) => ({
        levels: image(10 * (k + 1) + target),
        confidence: confidences[target],
        steps: steps[target],
        fooled: fooled[target],
        finished: true,
      }));
      lane.judged = judged ? targets.map((target) => networks.label(manifest.judge, judged[target])) : null;
    });
    draw();
    for (const lane of race.lanes) if (lane.judged) lane.note.textContent = judgedInWords(lane);
    said.textContent = "Recorded from these networks when the page was made.";
  }

  const recordedFor = (network) =>
    manifest.recorded.previews.find((row) => row.network === network);

  /** How much a run would fetch, on its button. */
  function sizes() {
    const label = (names) => {
      const size = networks.sizeOf(names);
      return size > 0 ? ` (fetches ${megabytes(size)})` : "";
    };
    const names = entries.map(({ network }) => network);
    button.go.textContent = `Deceive all ${entries.length} here${label(names)}`;
    button.one.textContent = `Only the chosen one${label([names[slider.value]])}`;
  }

  /** New images for these targets, the same for each network. */
  function lay(targets) {
    if (race) race.stopped = true;
    const starts = targets.map((_, i) => STARTS.uniform(generator(1000 * seed + i)));
    race = {
      targets,
      starts,
      lanes: entries.map((entry) => ({
        entry,
        images: starts.map((start) => ({ levels: toLevels(start), steps: 0, confidence: null })),
        finished: false,
        judged: null,
      })),
    };
    draw();
  }

  /** Replace the pictures of all lanes. */
  function draw() {
    strip.replaceChildren(
      ...race.lanes.map((lane, index) => {
        lane.thumbs = lane.images.map(({ levels }, i) =>
          canvasOf(levels, `for ${race.targets[i]}`),
        );
        lane.note = element("small", {}, subtitle(lane.entry));
        const grid = element("span", { className: "grid" }, ...lane.thumbs);
        grid.dataset.count = lane.images.length;
        const picture = element(
          "button",
          { type: "button", className: "lane" },
          element("strong", {}, title(lane.entry)),
          grid,
          lane.note,
        );
        picture.addEventListener("click", () => choose(index));
        lane.picture = picture;
        return picture;
      }),
    );
    choose(Number(slider.value));
  }

  /** The lane that is shown large. */
  function choose(index) {
    slider.value = index;
    const lane = race.lanes[index];
    const name = `${title(lane.entry)}: ${subtitle(lane.entry)} of real digits`;
    at("label").textContent = name;
    slider.setAttribute("aria-valuetext", name);
    for (const one of race.lanes) one.picture.setAttribute("aria-pressed", String(one === lane));
    sizes();
    const figures = lane.images.map(({ levels }, i) => {
      const caption = element("figcaption");
      return element("figure", {}, canvasOf(levels, `Image for ${race.targets[i]}`), caption);
    });
    chosen.dataset.count = figures.length;
    chosen.replaceChildren(...figures);
    captions(lane);
  }

  function captions(lane) {
    if (lane !== race.lanes[slider.value]) return;
    [...chosen.children].forEach((figure, i) => {
      const image = lane.images[i];
      show(figure.firstChild, image.levels);
      const quoted = `“${race.targets[i]}”`;
      const now = image.confidence === null ? "" : ` ${percent(image.confidence)}`;
      const state = image.finished && !image.fooled ? `${quoted} only${now}` : `${quoted}${now}`;
      const lines = [element("b", {}, state)];
      if (image.confidence !== null) lines.push(`${image.steps} steps`);
      if (lane.judged) {
        const mark = element("span", { className: "mark" }, agrees(lane, i) ? " ✓" : "");
        lines.push(element("span", { className: "judge" }, `judge: ${lane.judged[i]}`, mark));
      }
      figure.classList.toggle("agrees", agrees(lane, i));
      figure.lastChild.replaceChildren(...lines.flatMap((line) => [line, element("br")]));
    });
  }

  /** Whether the judge also sees the image's target. */
  function agrees(lane, i) {
    return lane.judged?.[i] === String(race.targets[i]);
  }

  function update(lane, images) {
    images.forEach((image, i) => {
      lane.images[i] = image;
      show(lane.thumbs[i], image.levels);
    });
    const fooled = images.filter((image) => image.fooled).length;
    lane.note.textContent =
      images.length === 1
        ? `${percent(images[0].confidence)} after ${images[0].steps} steps`
        : draws(lane.entry)
          ? `step ${images[0].steps} of ${networks.rule(lane.entry.network).steps}`
          : `${fooled} of ${images.length} fooled it`;
    captions(lane);
  }

  /** Deceive the networks of these lanes, from fresh static. */
  async function run(chosen) {
    seed += 1;
    lay(targets());
    const mine = race;
    const lanes = mine.lanes.filter((_, k) => chosen.includes(k));
    button.go.disabled = button.one.disabled = true;
    button.stop.disabled = false;
    try {
      await load(mine, lanes);
      const began = performance.now();
      if (!mine.stopped) said.textContent = allDraw ? "Drawing …" : "Deceiving …";
      // They take steps in turn, so that none gets ahead.
      await Promise.all(lanes.map((lane) => compete(mine, lane)));
      if (!mine.stopped) said.textContent = inWords(mine, lanes, performance.now() - began);
    } catch (error) {
      mine.stopped = true;
      said.textContent = error.message;
    } finally {
      button.go.disabled = button.one.disabled = false;
      button.stop.disabled = true;
      sizes();
    }
  }

  async function load(mine, lanes) {
    const names = lanes.map(({ entry }) => entry.network);
    const size = networks.sizeOf(names);
    const shares = new Map();
    const tell = (name) => (share) => {
      shares.set(name, share * networks.info(name).bytes);
      const came = [...shares.values()].reduce((a, b) => a + b);
      const part = percent(Math.min(1, came / size), 0);
      if (!mine.stopped) said.textContent = `Fetching the networks: ${part} of ${megabytes(size)}`;
    };
    said.textContent = "Fetching the networks …";
    await Promise.all(names.map((name) => networks.whole(name, tell(name))));
  }

  async function compete(mine, lane) {
    const { network } = lane.entry;
    const rule = draws(lane.entry) ? { seed } : { seed, steps: STEPS };
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const pace = draws(lane.entry) && !still ? PACE : 0;
    const deception = await networks.deceive(network, mine.targets, mine.starts, rule);
    while (!mine.stopped && !lane.finished) {
      const [{ images, finished }] = await Promise.all([deception.step(), pause(pace)]);
      lane.finished = finished;
      if (!mine.stopped) update(lane, images);
    }
    await deception.end();
    const { judge } = manifest;
    if (mine.stopped || judge === null || judge === network) return;
    const images = lane.images.map(({ levels }) => fromLevels(levels));
    lane.judged = (await networks.confidences(judge, images)).map((row) =>
      networks.label(judge, best(row).output),
    );
    if (mine.stopped) return;
    if (draws(lane.entry)) lane.note.textContent = judgedInWords(lane);
    captions(lane);
  }

  function judgedInWords(lane) {
    return lane.images.length === 1
      ? `the judge sees ${lane.judged[0]}`
      : `the judge agrees with ${agreed(lane)} of ${lane.images.length}`;
  }

  function agreed(lane) {
    return lane.images.filter((_, i) => agrees(lane, i)).length;
  }

  function inWords(mine, lanes, milliseconds) {
    const seconds = `It took ${(milliseconds / 1000).toFixed(1)} seconds.`;
    if (allDraw && lanes.length > 1) return `${drawnInWords(mine)} ${seconds}`;
    const parts = lanes.map((lane) => {
      const fooled = lane.images.filter((image) => image.fooled).length;
      const judged = lane.judged ? `, and the judge agrees with ${agreed(lane)}` : "";
      return `${title(lane.entry)}: ${fooled} of ${lane.images.length} fool it${judged}`;
    });
    return `${parts.join("; ")}. ${seconds}`;
  }

  /** The outcome of the first round's images and of the last one's. */
  function drawnInWords(mine) {
    const [first, last] = [mine.lanes[0], mine.lanes.at(-1)];
    if (last.judged === null) return "Drawn.";
    const [before, after] = [first, last].map(({ entry }) => title(entry).toLowerCase());
    if (mine.targets.length === 1) {
      const [target] = mine.targets;
      const sees = `The judge, another network, sees ${withArticle(target)} in what ${after} draws`;
      const instead = `The judge, another network, sees ${last.judged[0]} in what ${after} draws`;
      return `${agrees(last, 0) ? sees : instead}, and sees ${first.judged[0]} in the static of ${before}.`;
    }
    const n = mine.targets.length;
    return (
      `The judge, another network, recognises ${agreed(last)} of the ${n} digits that ${after} ` +
      `draws, and ${agreed(first)} of the ${n} of ${before}.`
    );
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(entries.map((_, k) => k));
  });
  button.one.addEventListener("click", () => run([Number(slider.value)]));
  form.addEventListener("change", () => {
    if (button.stop.disabled) preview(targets());
  });
  button.stop.addEventListener("click", () => {
    race.stopped = true;
    said.textContent = "Stopped.";
  });
  slider.addEventListener("input", () => choose(Number(slider.value)));
  lay([5]);
  button.go.disabled = button.one.disabled = false;
  // The network that one draws for comes first.
  networks
    .load(manifest.default)
    .then(() => fetched(new URL("networks/previews.bin", document.baseURI), "The previews"))
    .then(
      (bytes) => {
        previews = bytes;
        if (race.lanes.every(({ finished }) => !finished) && button.stop.disabled) preview(targets());
      },
      () => {}, // then there is static to see, and the networks can still be asked
    );
}

function pause(milliseconds) {
  return milliseconds > 0 && new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** The introduction for newcomers, fitted to the networks there are. */
function words(networks) {
  const { rounds } = networks.manifest;
  const budget = ` An image may take ${STEPS} steps.`;
  if (rounds.some(({ round }) => round === null))
    return [
      "Does every network fall for the same image? Here the same static is deceived against each of them, side by side." +
        budget,
      "None of these networks was ever taught that there is rubbish. Networks that were, round after round, are shown here as soon as they are among the models; this build has none.",
    ];
  const cure =
    "The obvious cure: collect the images that deceived the network, teach it that they are rubbish, and deceive it again. That is a round.";
  const last = rounds.at(-1);
  if (!networks.draws(last.network))
    return [
      cure,
      "Here the same static is made to deceive the network of one round after another." +
        budget,
    ];
  const { steps } = networks.rule(last.network);
  const many = last.round.toLocaleString("en-GB");
  return [
    cure,
    `Play it ${many} times in noise, and the gradient leads from static to handwriting, if you follow it as in those rounds. The network was never shown how to draw.`,
    `Every picture begins as the same static and takes ${steps} steps up the gradient, seen in noise that falls step by step, so that what is large is settled first. Without that noise, blotches deceive the last network too: it draws, but it does not resist.`,
  ];
}
