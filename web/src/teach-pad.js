// A small drawing area for scribbles.

import { inkOf } from "./ink.js";
import { preprocess } from "./preprocess.js";

const SIZE = 280;
const PEN = 22;
const STRIDE = 7; // of the pen, by keyboard
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  #strokes = [];
  #pointer = null;
  #pen = { x: SIZE / 2, y: SIZE / 2, down: false };

  /** `onChange` is told after every change. */
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.onChange = onChange;
    this.#listen();
    this.#paint();
  }

  /** The drawing as a network sees it; null for none. */
  image() {
    if (this.#strokes.length === 0) return null;
    return preprocess(inkOf(this.#strokes, SIZE, PEN), SIZE, SIZE);
  }

  clear() {
    this.#strokes.length = 0;
    this.#pen.down = false;
    this.#changed();
  }

  #changed() {
    this.#paint();
    this.onChange();
  }

  #paint() {
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIZE, SIZE);
    if (this.#strokes.length === 0) {
      context.fillStyle = "#8a8a8a";
      context.font = "30px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText("scribble here", SIZE / 2, SIZE / 2 + 10);
    }
    this.#trace(context);
    if (!this.canvas.matches(":focus-visible")) return;
    context.lineWidth = 3;
    context.strokeStyle = this.#pen.down ? "#ff8a73" : "#aaa";
    context.beginPath();
    context.arc(this.#pen.x, this.#pen.y, PEN / 2, 0, 2 * Math.PI);
    context.stroke();
  }

  #trace(context) {
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = "#fff";
    for (const points of this.#strokes) {
      context.beginPath();
      context.moveTo(points[0].x, points[0].y);
      for (const { x, y } of points) context.lineTo(x, y); // a dot is a line to where it began
      context.stroke();
    }
  }

  #listen() {
    const { canvas } = this;
    const place = ({ clientX, clientY }) => {
      const box = canvas.getBoundingClientRect();
      const scale = SIZE / box.width;
      return { x: (clientX - box.left) * scale, y: (clientY - box.top) * scale };
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.#pointer !== null) return;
      canvas.setPointerCapture(event.pointerId);
      this.#pointer = event.pointerId;
      this.#strokes.push([place(event)]);
      this.#changed();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== this.#pointer) return;
      this.#strokes.at(-1).push(place(event));
      this.#changed();
    });
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, ({ pointerId }) => {
        if (pointerId === this.#pointer) this.#pointer = null;
      });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.#paint());
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const pen = this.#pen;
    if (event.key in ARROWS) {
      const inside = (value) => Math.min(SIZE - PEN / 2, Math.max(PEN / 2, value));
      const [x, y] = ARROWS[event.key];
      pen.x = inside(pen.x + STRIDE * x);
      pen.y = inside(pen.y + STRIDE * y);
      if (pen.down) this.#strokes.at(-1).push({ x: pen.x, y: pen.y });
    } else if (event.key === " ") {
      pen.down = !pen.down;
      if (pen.down) this.#strokes.push([{ x: pen.x, y: pen.y }]);
    } else return;
    event.preventDefault();
    this.#changed();
  }
}
