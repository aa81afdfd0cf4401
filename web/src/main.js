// Wires up the panels; an error that keeps the page from running is shown as a sentence.

import { readAddress } from "./address.js";
import { deceivePanel } from "./deceive.js";
import { drawPanel } from "./draw.js";
import { guardPanel } from "./guard.js";
import { Networks, megabytes, percent, readManifest } from "./networks.js";
import { preprocess } from "./preprocess.js";
import { generator, normal, shake } from "./random.js";
import { roundsPanel } from "./rounds.js";
import { STARTS, enlarged } from "./starts.js";
import { storyPanel } from "./story.js";
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
  boot.classList.remove("done");
  boot.classList.add("problem");
  boot.textContent = text;
}

function links({ notebooks, notebooksAt }) {
  const list = document.getElementById("notebooks");
  for (const [name, title] of Object.entries(notebooks))
    list.append(element("li", {}, element("a", { href: `${notebooksAt}${name}.html` }, title)));
  for (const link of document.querySelectorAll("[data-notebook]")) {
    const name = link.dataset.notebook;
    if (name in notebooks) link.href = `${notebooksAt}${name}.html`;
    else if ("deceive_mnist" in notebooks) link.href = `${notebooksAt}deceive_mnist.html`;
  }
}

/** Says which share of the first network has come. */
function sayShare(networks) {
  const { light, bytes, name } = networks.info(networks.manifest.default);
  const size = light?.bytes ?? bytes;
  networks.onShare = (of, share) => {
    if (of !== name || interactive()) return;
    boot.textContent = `Fetching the network: ${percent(share, 0)} of ${megabytes(size)}`;
  };
}

const interactive = () => "interactive" in document.documentElement.dataset;

/** The panels, which may be used at once: what they need is fetched when they need it. */
function panels(networks, draw, link) {
  let guard = null; // the panels before it tell it of their images
  const deceive = deceivePanel(networks, { onImage: () => guard?.changed("deceived"), link });
  roundsPanel(networks);
  const teach = teachPanel(networks, { onDeceive: deceive.useNetwork });
  guard = guardPanel(networks, { deceived: deceive.levels, drawing: draw.levels });
  const changed = (image) => {
    deceive.setDrawing(image);
    guard.changed("drawing");
  };
  changed(draw.image());
  return { deceive, teach, changed };
}

async function start() {
  const lacks = missing();
  if (lacks.length > 0) {
    problem(`This browser can’t run the page: it has no ${lacks.join(", no ")}. A current one can.`);
    return;
  }
  boot.textContent = "Fetching the network …";
  let made = null;
  const coming = readManifest().then((manifest) => new Networks(manifest));
  const draw = drawPanel(coming, {
    onUse: (seen) => made?.deceive.useDrawing(seen),
    onChange: (image) => made?.changed(image),
  });
  try {
    const networks = await coming;
    const { manifest } = networks;
    for (const place of document.querySelectorAll("[data-fill=accuracy]"))
      place.textContent = percent(networks.info(manifest.default).testAccuracy, 2);
    links(manifest);
    sayShare(networks);
    const story = storyPanel(networks);
    made = panels(networks, draw, readAddress());
    await networks.load(manifest.default).catch((error) => {
      if (!networks.info(manifest.default).light) throw error; // else the whole one may come
    });
    document.documentElement.dataset.interactive = "";
    boot.classList.add("done");
    await networks.whole(manifest.default);
    // For use in the browser's console; see web/README.md.
    const { teach } = made;
    window.deceive = { networks, teach, starts: STARTS, generator, normal, shake, enlarged, preprocess };
    document.documentElement.dataset.ready = "";
    if (manifest.judge !== null)
      networks.load(manifest.judge).catch((error) => problem(error.message));
    story.ready();
  } catch (error) {
    problem(`${error.message} Reload the page to try again.`);
  }
}

start();
