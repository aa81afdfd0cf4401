// The share that the judge recognises, round by round.

import { percent } from "./networks.js";

const [WIDTH, HEIGHT] = [300, 110];
const SHORTEST = 100; // rounds that fill the width at first

export class ShareCurve {
  constructor(place) {
    place.innerHTML = `
      <svg class="curve" viewBox="-38 -8 ${WIDTH + 46} ${HEIGHT + 32}" role="img">
        <line class="axis" x1="0" y1="${HEIGHT}" x2="${WIDTH}" y2="${HEIGHT}" />
        ${[0, 0.5, 1].map(
          (share) => `
            <line class="asked" x1="0" y1="${HEIGHT * (1 - share)}" x2="${WIDTH}" y2="${HEIGHT * (1 - share)}" />
            <text x="-6" y="${HEIGHT * (1 - share) + 4}" text-anchor="end">${100 * share}%</text>`,
        )}
        <text x="0" y="${HEIGHT + 18}">round 0</text>
        <text class="last" x="${WIDTH}" y="${HEIGHT + 18}" text-anchor="end"></text>
        <polyline points="" />
        <circle r="4" cx="0" cy="${HEIGHT}" />
      </svg>`;
    this.svg = place.firstElementChild;
    [this.line, this.dot, this.last] = ["polyline", "circle", ".last"].map((one) =>
      place.querySelector(one),
    );
    this.draw([]);
  }

  /** Points of a round and a share each, in order; `at` is the one to mark. */
  draw(points, at = points.length - 1) {
    const span = Math.max(SHORTEST, points.at(-1)?.number ?? 0);
    const place = ({ number, share }) => [(number * WIDTH) / span, HEIGHT * (1 - share)];
    const drawn = points.map((point) => place(point).map((value) => value.toFixed(1)).join(","));
    this.line.setAttribute("points", drawn.join(" "));
    this.last.textContent = span;
    this.dot.style.display = points.length ? "" : "none";
    const { number, share } = points[at] ?? { number: 0, share: 0 };
    const [x, y] = place({ number, share });
    this.dot.setAttribute("cx", x);
    this.dot.setAttribute("cy", y);
    const now = points.length ? `: ${percent(share, 0)} after ${number} rounds` : "";
    this.svg.setAttribute("aria-label", `Share that the judge recognises, by round${now}`);
  }
}
