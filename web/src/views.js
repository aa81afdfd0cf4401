// Views for the panels: an image, bars, a curve, a row of digits to choose from.

import { percent } from "./networks.js";
import { SIDE } from "./starts.js";

/** Levels 0 to 255 onto a canvas of 28 × 28. */
export function show(canvas, levels) {
  const context = canvas.getContext("2d");
  const data = context.createImageData(SIDE, SIDE);
  levels.forEach((level, k) => data.data.set([level, level, level, 255], 4 * k));
  context.putImageData(data, 0, 0);
}

export function canvasOf(levels, label) {
  const canvas = element("canvas", { className: "square pixels", width: SIDE, height: SIDE });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  show(canvas, levels);
  return canvas;
}

/** Have the browser save some bytes as a file. */
export function download(content, type, name) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A number with its article: a 5, an 8. */
export function withArticle(number) {
  return `${/^(8|11$|18$)/.test(`${number}`) ? "an" : "a"} ${number}`;
}

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** One bar for each output of a network; `fill` sets them. */
export class Bars {
  constructor(list) {
    this.list = list;
  }

  name(labels) {
    this.rows = labels.map((label) => {
      const bar = element("span", { className: "bar" }, element("i"));
      const value = element("span", { className: "value" }, "–");
      const row = element("li", {}, element("span", { className: "label" }, label), bar, value);
      if (label.length > 1) row.classList.add("word");
      return { row, bar: bar.firstChild, value };
    });
    this.list.replaceChildren(...this.rows.map(({ row }) => row));
  }

  /** Confidences, one per bar; null for none. `wanted` is the output to highlight. */
  fill(confidences, wanted = confidences?.indexOf(Math.max(...confidences))) {
    this.rows.forEach(({ row, bar, value }, k) => {
      bar.style.width = confidences ? `${100 * confidences[k]}%` : "0";
      value.textContent = confidences ? percent(confidences[k]) : "–";
      row.classList.toggle("wanted", confidences != null && k === wanted);
    });
  }
}

/** The confidence at every step; the requested one is a dashed line. */
export class Curve {
  #width = 300;
  #height = 110;

  constructor(place, asked) {
    const [w, h] = [this.#width, this.#height];
    const y = h - asked * h;
    place.innerHTML = `
      <svg class="curve" viewBox="-38 -8 ${w + 46} ${h + 32}" role="img" aria-label="Confidence by step">
        <line class="axis" x1="0" y1="${h}" x2="${w}" y2="${h}" />
        <line class="asked" x1="0" y1="${y}" x2="${w}" y2="${y}" />
        <text x="-6" y="${y + 4}" text-anchor="end">${Math.round(100 * asked)}%</text>
        <text x="-6" y="${h + 4}" text-anchor="end">0%</text>
        <text class="last" x="${w}" y="${h + 18}" text-anchor="end"></text>
        <text x="0" y="${h + 18}">step 0</text>
        <polyline points="" />
        <circle r="4" cx="0" cy="${h}" />
      </svg>`;
    [this.line, this.dot, this.last] = ["polyline", "circle", ".last"].map((one) =>
      place.querySelector(one),
    );
    this.svg = place.firstElementChild;
  }

  draw(confidences, at = confidences.length - 1) {
    const [w, h] = [this.#width, this.#height];
    const span = Math.max(10, confidences.length - 1); // short ways don't fill it at once
    const point = (k) => `${((k * w) / span).toFixed(1)},${(h - confidences[k] * h).toFixed(1)}`;
    this.line.setAttribute("points", confidences.map((_, k) => point(k)).join(" "));
    this.last.textContent = span;
    this.dot.style.display = confidences.length ? "" : "none";
    if (confidences.length === 0) return;
    const [x, y] = point(at).split(",");
    this.dot.setAttribute("cx", x);
    this.dot.setAttribute("cy", y);
    const now = percent(confidences[at]);
    this.svg.setAttribute("aria-label", `Confidence by step: ${now} at step ${at}`);
  }
}

/** Radio buttons for some digits, in `place`. */
export function digitChoice(place, name, digits, chosen) {
  place.replaceChildren(
    ...digits.map((digit) => {
      const input = element("input", { type: "radio", name, value: digit });
      input.checked = digit === chosen;
      return element("label", {}, input, element("span", {}, String(digit)));
    }),
  );
}
