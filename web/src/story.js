// The first screen: the same static on its way to a digit, against two networks.

import { toLevels } from "./fool.js";
import { megabytes, percent } from "./networks.js";
import { generator } from "./random.js";
import { fetched } from "./serving.js";
import { SIDE, STARTS } from "./starts.js";
import { element, show } from "./views.js";

const PACE = 80; // milliseconds a step, so that one can watch
const MOST = 300; // steps that an image may take
const HOLD = 4; // steps for which the static stands before it begins to move

/** Shows what was recorded as soon as it is there; `networks` make others when asked to. */
export function storyPanel(networks) {
  const { manifest } = networks;
  const told = manifest.recorded.story;
  const at = (part) => document.getElementById(`story-${part}`);
  const button = { again: at("again"), live: at("live") };
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const lanes = told.map(({ network }, k) => lane(k, networks.info(network)));
  let turn = 0;

  function lane(k, { rubbishClass, round }) {
    const times = round?.toLocaleString("en-GB");
    const title =
      rubbishClass === null ? "Ordinary network" : `Taught rubbish ${times} times`;
    const canvas = element("canvas", { className: "square pixels", width: SIDE, height: SIDE });
    canvas.setAttribute("role", "img");
    const state = element("span", { className: "state" }, "static");
    at("lanes").children[k].replaceChildren(canvas, element("figcaption", {}, element("b", {}, title), state));
    return { canvas, state };
  }

  /** Show an image, and how sure the network is of it, if it has been asked. */
  function look({ canvas, state }, { levels, confidence, step, digit, asked = step > 0 }) {
    show(canvas, levels);
    const sure = asked ? `“${digit}”: ${percent(confidence)} sure` : "static";
    state.textContent = sure;
    canvas.setAttribute("aria-label", asked ? `After ${step} steps: ${sure}` : "Static");
  }

  /** Every frame of each lane, from the file of the build. */
  async function recordedFrames() {
    const url = new URL("networks/story.bin", document.baseURI);
    const bytes = await fetched(url, "The recorded deception");
    let from = 0;
    return told.map(({ confidences, digit }) =>
      confidences.map((confidence, step) => {
        const levels = bytes.subarray(from, (from += SIDE * SIDE));
        return { levels, confidence, step, digit };
      }),
    );
  }

  async function play(frames) {
    const mine = (turn += 1);
    const length = Math.max(...frames.map((each) => each.length));
    const shown = (k) => Math.max(0, k - HOLD);
    for (let k = still ? length + HOLD : 0; k <= length + HOLD && mine === turn; k++) {
      frames.forEach((each, i) => look(lanes[i], each[Math.min(shown(k), each.length - 1)]));
      if (k < length + HOLD) await pause(PACE);
    }
  }

  /** The same with other static, computed here and now. */
  async function live() {
    const mine = (turn += 1);
    button.live.disabled = true;
    try {
      const digit = Math.floor(Math.random() * 10);
      const start = STARTS.uniform(generator(Math.floor(Math.random() * 2 ** 31)));
      const runs = [];
      for (const [k, { network }] of told.entries()) {
        if (!networks.has(network)) at("said").textContent = "Fetching the networks …";
        await networks.load(network);
        look(lanes[k], { levels: toLevels(start), step: 0 });
        runs.push(await networks.deceive(network, [digit], [start], { steps: MOST }));
      }
      at("said").textContent = "Computed here and now, in your browser.";
      await Promise.all(runs.map((run, k) => climb(run, lanes[k], digit, mine)));
    } catch (error) {
      at("said").textContent = error.message;
    } finally {
      button.live.disabled = false;
      name();
    }
  }

  async function climb(run, lane, digit, mine) {
    for (let finished = false; !finished && mine === turn; ) {
      const [state] = await Promise.all([run.step(), pause(still ? 0 : PACE)]);
      finished = state.finished;
      const [{ levels, confidence, steps }] = state.images;
      // Some static needs no step: the ordinary network takes it for an 8.
      const asked = finished || steps > 0;
      if (mine === turn) look(lane, { levels, confidence, step: steps, digit, asked });
    }
    await run.end();
  }

  function name() {
    const size = networks.sizeOf(told.map(({ network }) => network));
    const fetches = size > 0 ? ` (${megabytes(size)})` : "";
    button.live.textContent = `Other static, live${fetches}`;
  }

  name();
  button.live.addEventListener("click", live);
  recordedFrames().then(
    (frames) => {
      const again = () => {
        at("said").textContent = RECORDED;
        play(frames);
      };
      button.again.disabled = false;
      button.again.addEventListener("click", again);
      if (turn === 0) again(); // unless a visitor has asked for other static already
    },
    (error) => (at("said").textContent = error.message),
  );
  return {
    /** The networks can be asked from now on. */
    ready() {
      button.live.disabled = false;
      name();
    },
  };
}

const RECORDED = "Recorded when the page was made.";

function pause(milliseconds) {
  return milliseconds > 0 && new Promise((resolve) => setTimeout(resolve, milliseconds));
}
