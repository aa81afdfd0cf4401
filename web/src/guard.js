// Panel 5: one image, read by a network and by the same network behind a guard.

import { fromLevels, toLevels } from "./fool.js";
import { best, percent } from "./networks.js";
import { generator } from "./random.js";
import { SIDE, STARTS } from "./starts.js";
import { Bars, element, show, withArticle } from "./views.js";

/** `images` has a function for each image that the other panels hold: levels, or null. */
export function guardPanel(networks, images) {
  const at = (part) => document.getElementById(`guard-${part}`);
  const settings = networks.manifest.guarded;
  if (!settings) {
    for (const place of document.querySelectorAll("[data-needs=guard]")) place.hidden = true;
    return { changed: () => {} };
  }
  const { guard, reader, threshold } = settings;
  const [form, source, canvas, said] = [at("form"), at("source"), at("image"), at("said")];
  const button = { ask: at("ask"), again: at("again") };
  const digits = Array.from({ length: networks.info(guard).outputs - 1 }, (_, k) => String(k));
  const bars = { alone: new Bars(at("alone")), behind: new Bars(at("behind")) };
  bars.alone.name(digits);
  bars.behind.name([...digits, "none"]);
  at("words").replaceChildren(...words(networks).map((text) => element("p", {}, text)));

  let seed = Math.floor(Math.random() * 2 ** 31);
  let asked = false; // whether the visitor ever asked: the guard is fetched no earlier
  let turn = 0;

  function levelsNow() {
    const held = images[source.value];
    return held ? held() : toLevels(STARTS[source.value](generator(seed)));
  }

  /** Show the chosen image; its answers, if there was a question before. */
  function lay() {
    const levels = levelsNow();
    show(canvas, levels ?? new Uint8Array(SIDE * SIDE));
    button.ask.disabled = levels === null;
    button.again.disabled = source.value in images;
    bars.alone.fill(null);
    bars.behind.fill(null);
    turn += 1;
    said.textContent = levels === null ? "There is no drawing: draw something in panel 1 first." : "";
    if (asked && levels !== null) ask(levels);
  }

  async function ask(levels) {
    const mine = (turn += 1);
    said.textContent = "Asking both …";
    try {
      const [{ alone, behind }] = await networks.guarded([fromLevels(levels)]);
      if (mine !== turn) return; // another image was chosen
      bars.alone.fill(alone.slice(0, digits.length));
      bars.behind.fill(behind);
      said.textContent = inWords(alone, behind);
    } catch (error) {
      if (mine === turn) said.textContent = error.message;
    }
  }

  function inWords(alone, behind) {
    const one = best(alone);
    const digit = best(behind.slice(0, -1));
    const none = behind.at(-1);
    const first = `Alone, “${reader}” is ${percent(one.confidence)} sure that this is ${withArticle(one.output)}.`;
    const sure = `${percent(digit.confidence)} sure of ${withArticle(digit.output)}`;
    if (digit.confidence >= threshold) return `${first} Behind the guard it is ${sure}: the image passes.`;
    if (none < digit.confidence)
      return `${first} Behind the guard it is only ${sure}: the image doesn’t pass.`;
    return `${first} Behind the guard, “none of these” gets ${percent(none)}: the image doesn’t pass.`;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    asked = true;
    lay();
  });
  source.addEventListener("change", lay);
  button.again.addEventListener("click", () => {
    seed += 1;
    lay();
  });
  lay();
  return {
    /** The image of another panel, by its name in `images`, has changed. */
    changed(name) {
      if (source.value === name) lay();
    },
  };
}

function words(networks) {
  const { guard, reader, threshold, kept, images, readerAccuracy, accuracy } =
    networks.manifest.guarded;
  return [
    `A guard is another network, here “${guard}”, which learned in rounds what is no digit. It stands ` +
      `in front of “${reader}”, which isn’t changed: the guard settles whether an image shows a ` +
      `digit, and “${reader}” helps to settle which.`,
    `An image passes if one digit gets at least ${percent(threshold, 0)}. Of ` +
      `${images.toLocaleString("en-GB")} real digits, ${percent(kept)} pass; ` +
      `${percent(accuracy, 2)} are read correctly behind the guard, and ` +
      `${percent(readerAccuracy, 2)} by “${reader}” alone.`,
    "Make a fooling image in panel 2, or draw a house in panel 1, and ask both.",
  ];
}
