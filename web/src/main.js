// Wires up the panels; an error that keeps the page from running is shown as a sentence.

import { deceivePanel } from "./deceive.js";
import { drawPanel } from "./draw.js";
import { guardPanel } from "./guard.js";
import { Networks, percent, readManifest } from "./networks.js";
import { preprocess } from "./preprocess.js";
import { generator, normal, shake } from "./random.js";
import { roundsPanel } from "./rounds.js";
import { STARTS, enlarged } from "./starts.js";
import { teachPanel } from "./teach.js";
import { element } from "./views.js";

const boot = document.getElementById("boot");

/** What this browser lacks; empty if nothing. */
function missing() {
  const needed = {
    WebAssembly: typeof WebAssembly === "object",
    "Web Workers": typeof Worker === "function",
    BigInt64Array: typeof BigInt64Array === "function",
    DecompressionStream: typeof DecompressionStream === "function",
  };
  return Object.keys(needed).filter((name) => !needed[name]);
}

function problem(text) {
  boot.hidden = false;
  boot.classList.add("problem");
  boot.textContent = text;
}

function links({ notebooks }) {
  const list = document.getElementById("notebooks");
  for (const [name, title] of Object.entries(notebooks))
    list.append(element("li", {}, element("a", { href: `notebooks/${name}.html` }, title)));
  for (const link of document.querySelectorAll("[data-notebook]")) {
    const name = link.dataset.notebook;
    if (name in notebooks) link.href = `notebooks/${name}.html`;
    else if ("deceive_mnist" in notebooks) link.href = "notebooks/deceive_mnist.html";
  }
}

async function start() {
  const lacks = missing();
  if (lacks.length > 0) {
    problem(`This browser can’t run the page: it has no ${lacks.join(", no ")}. A current one can.`);
    return;
  }
  try {
    const manifest = await readManifest();
    const networks = new Networks(manifest);
    for (const place of document.querySelectorAll("[data-fill=accuracy]"))
      place.textContent = percent(networks.info(manifest.default).testAccuracy, 2);
    links(manifest);
    boot.textContent = "Fetching the network …";
    await networks.load(manifest.default);
    let guard = null; // the panels before it tell it of their images
    const deceive = deceivePanel(networks, { onImage: () => guard?.changed("deceived") });
    const draw = drawPanel(networks, {
      onUse: deceive.useDrawing,
      onChange: (image) => {
        deceive.setDrawing(image);
        guard?.changed("drawing");
      },
    });
    roundsPanel(networks);
    const teach = teachPanel(networks, { onDeceive: deceive.useNetwork });
    guard = guardPanel(networks, { deceived: deceive.levels, drawing: draw.levels });
    boot.hidden = true;
    // For use in the browser's console; see web/README.md.
    window.deceive = { networks, teach, starts: STARTS, generator, normal, shake, enlarged, preprocess };
    document.documentElement.dataset.ready = "";
    if (manifest.judge !== null)
      networks.load(manifest.judge).catch((error) => problem(error.message));
  } catch (error) {
    problem(`${error.message} Reload the page to try again.`);
  }
}

start();
