// Panel 1: a drawing, the network's input made from it, and the network's answer.

import { inkOf } from "./ink.js";
import { best, percent } from "./networks.js";
import { preprocess } from "./preprocess.js";
import { SIDE } from "./starts.js";
import { toLevels } from "./fool.js";
import { Bars, show } from "./views.js";

const SIZE = 280; // of the drawing, in its own units
const PEN = 22; // gives a digit that fills the canvas strokes as wide as MNIST's
const STRIDE = 7; // of the pen, by keyboard

const DIGITS = "0123456789";
const EMPTY = "The drawing is empty: draw a digit first.";

const WAITING = "It will be read as soon as the network is here.";

/** `coming` is a promise of the networks; one can draw before they are there. */
export function drawPanel(coming, { onUse, onChange }) {
  const at = (id) => document.getElementById(id);
  const [pad, seen, said] = [at("pad"), at("seen"), at("draw-said")];
  const buttons = { undo: at("undo"), clear: at("clear"), use: at("draw-use") };
  const bars = new Bars(at("draw-bars"));
  bars.name(Array.from(DIGITS));

  const strokes = [];
  const pen = { x: SIZE / 2, y: SIZE / 2, down: false, shown: false };
  let stroke = null;
  let image = null;
  let seenAs = null; // the digit that it is read as, once it is

  function trace(context) {
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = "#fff";
    for (const points of strokes) {
      context.beginPath();
      context.moveTo(points[0].x, points[0].y);
      for (const { x, y } of points) context.lineTo(x, y); // a dot is a line to where it began
      context.stroke();
    }
  }

  function paint() {
    const context = pad.getContext("2d");
    context.setTransform(pad.width / SIZE, 0, 0, pad.height / SIZE, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIZE, SIZE);
    if (strokes.length === 0) {
      context.fillStyle = "#8a8a8a";
      context.font = "17px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText("draw a digit here", SIZE / 2, SIZE / 2 + (pen.shown ? 40 : 6));
    }
    trace(context);
    if (pen.shown) {
      context.lineWidth = 2;
      context.strokeStyle = pen.down ? "#ff8a73" : "#aaa";
      context.beginPath();
      context.arc(pen.x, pen.y, PEN / 2, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  // One request at a time, always with the latest drawing.
  let asking = false;
  let changed = false;
  let settled = Promise.resolve(); // once the latest drawing is read
  function changedNow() {
    paint();
    changed = true;
    if (!asking) settled = readAll();
  }

  async function readAll() {
    asking = true;
    try {
      while (changed) {
        changed = false;
        await read();
      }
    } catch (error) {
      said.textContent = error.message;
    } finally {
      asking = false;
    }
  }

  async function read() {
    image = strokes.length ? preprocess(inkOf(strokes, SIZE, PEN), SIZE, SIZE) : null;
    show(seen, image ? toLevels(image) : new Uint8Array(SIDE * SIDE));
    for (const button of Object.values(buttons)) button.disabled = image === null;
    seenAs = null;
    onChange(image);
    if (image === null) {
      bars.fill(null);
      said.textContent = EMPTY;
      return;
    }
    if (said.textContent === EMPTY) said.textContent = WAITING;
    const networks = await coming;
    const name = networks.manifest.default;
    const [confidences] = await networks.confidences(name, [image]);
    bars.fill(confidences);
    const { output, confidence } = best(confidences);
    seenAs = output;
    said.textContent = `It reads ${networks.label(name, output)}, and is ${percent(confidence)} sure.`;
  }

  function place(event) {
    const box = pad.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * SIZE,
      y: ((event.clientY - box.top) / box.height) * SIZE,
    };
  }

  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || stroke) return;
    pad.setPointerCapture(event.pointerId);
    pen.down = pen.shown = false;
    stroke = { pointer: event.pointerId, points: [place(event)] };
    strokes.push(stroke.points);
    changedNow();
  });
  pad.addEventListener("pointermove", (event) => {
    if (stroke?.pointer !== event.pointerId) return;
    const between = event.getCoalescedEvents?.() ?? [];
    stroke.points.push(...(between.length ? between : [event]).map(place));
    changedNow();
  });
  for (const end of ["pointerup", "pointercancel"])
    pad.addEventListener(end, (event) => {
      if (stroke?.pointer === event.pointerId) stroke = null;
    });

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  pad.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) return undo(event);
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const inside = (value) => Math.min(SIZE - PEN / 2, Math.max(PEN / 2, value));
    if (event.key in arrows) {
      const [x, y] = arrows[event.key];
      pen.x = inside(pen.x + STRIDE * x);
      pen.y = inside(pen.y + STRIDE * y);
      if (pen.down) strokes.at(-1).push({ x: pen.x, y: pen.y });
    } else if (event.key === " ") {
      pen.down = !pen.down;
      if (pen.down) strokes.push([{ x: pen.x, y: pen.y }]);
    } else return;
    event.preventDefault();
    pen.shown = true;
    changedNow();
  });
  pad.addEventListener("focus", () => {
    pen.shown = pad.matches(":focus-visible");
    paint();
  });
  pad.addEventListener("blur", () => {
    pen.shown = pen.down = false;
    paint();
  });

  function undo(event) {
    event.preventDefault();
    strokes.pop();
    pen.down = false;
    changedNow();
  }
  buttons.undo.addEventListener("click", undo);
  buttons.clear.addEventListener("click", () => {
    strokes.length = 0;
    pen.down = false;
    changedNow();
    pad.focus({ preventScroll: true });
  });
  // What is still being read would replace the image that is deceived.
  buttons.use.addEventListener("click", () => settled.then(() => image && onUse(seenAs)));
  changedNow();
  return {
    /** The drawing as the network sees it; null for none. */
    levels: () => (image === null ? null : toLevels(image)),
    image: () => image,
  };
}
