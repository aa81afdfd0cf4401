// Panel 3: the same deception against every network of the rounds, side by side.

import { best, percent } from "./networks.js";
import { fromLevels, toLevels } from "./fool.js";
import { generator } from "./random.js";
import { STARTS } from "./starts.js";
import { canvasOf, digitChoice, element, show } from "./views.js";

const STEPS = 300; // the most that an image may take here; a network that resists may take them all
const PACE = 50; // the least milliseconds per step of a drawing, so that one can watch

export function roundsPanel(networks) {
  const { manifest } = networks;
  const at = (part) => document.getElementById(`rounds-${part}`);
  const [form, slider, chosen, strip, said] = ["form", "slider", "chosen", "strip", "said"].map(at);
  const button = { go: at("go"), all: at("all"), stop: at("stop") };
  const entries = manifest.rounds;
  const digits = networks.digits(entries[0].network);
  const draws = ({ network }) => networks.draws(network);
  const allDraw = entries.every(draws);

  at("words").replaceChildren(...words(networks).map((text) => element("p", {}, text)));
  button.all.textContent = `All ${digits.length === 10 ? "ten" : digits.length} digits at once`;
  digitChoice(at("targets"), "rounds-target", digits, 5);
  slider.max = entries.length - 1;
  slider.value = allDraw ? slider.max : 0; // the last one first: its images are the most interesting
  slider.disabled = false;

  let seed = 1;
  let race = null; // the current one: its targets, and the state of every network

  const title = ({ network, round }) => (round === null ? network : `Round ${round}`);
  const subtitle = ({ network }) => `reads ${percent(networks.info(network).testAccuracy, 2)}`;

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
    const name = `${title(lane.entry)}: ${subtitle(lane.entry)}`;
    at("label").textContent = name;
    slider.setAttribute("aria-valuetext", name);
    for (const one of race.lanes) one.picture.setAttribute("aria-pressed", String(one === lane));
    const { offsetLeft, offsetWidth } = lane.picture;
    strip.scrollLeft = offsetLeft + offsetWidth / 2 - strip.clientWidth / 2;
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
        const mark = agrees(lane, i) ? " ✓" : "";
        lines.push(element("span", { className: "judge" }, `judge: ${lane.judged[i]}${mark}`));
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

  async function run(targets) {
    lay(targets);
    const mine = race;
    button.go.disabled = button.all.disabled = true;
    button.stop.disabled = false;
    said.textContent = "Fetching the networks …";
    try {
      await Promise.all(entries.map(({ network }) => networks.load(network)));
      const began = performance.now();
      if (!mine.stopped) said.textContent = allDraw ? "Drawing …" : "Deceiving …";
      // They take steps in turn, so that none gets ahead.
      await Promise.all(mine.lanes.map((lane) => compete(mine, lane)));
      if (!mine.stopped) said.textContent = inWords(mine, performance.now() - began);
    } catch (error) {
      mine.stopped = true;
      said.textContent = error.message;
    } finally {
      button.go.disabled = button.all.disabled = false;
      button.stop.disabled = true;
    }
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
    if (draws(lane.entry))
      lane.note.textContent =
        images.length === 1
          ? `the judge sees ${lane.judged[0]}`
          : `the judge agrees with ${agreed(lane)} of ${images.length}`;
    captions(lane);
  }

  function agreed(lane) {
    return lane.images.filter((_, i) => agrees(lane, i)).length;
  }

  function inWords(mine, milliseconds) {
    const seconds = `It took ${(milliseconds / 1000).toFixed(1)} seconds.`;
    if (allDraw) return `${drawnInWords(mine)} ${seconds}`;
    const parts = mine.lanes.map((lane) => {
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
      const sees = `The judge, another network, takes what ${after} draws for a ${target}`;
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
    seed += 1;
    run([Number(new FormData(form).get("rounds-target"))]);
  });
  form.addEventListener("change", () => {
    if (button.stop.disabled) lay([Number(new FormData(form).get("rounds-target"))]);
  });
  button.all.addEventListener("click", () => {
    seed += 1;
    run(digits);
  });
  button.stop.addEventListener("click", () => {
    race.stopped = true;
    said.textContent = "Stopped.";
  });
  slider.addEventListener("input", () => choose(Number(slider.value)));
  lay([5]);
  button.go.disabled = button.all.disabled = false;
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
