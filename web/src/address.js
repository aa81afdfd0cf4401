// The state of panel 2 in the page's address, so that a link leads to exactly one image.

const PARTS = ["digit", "start", "seed", "network"];

/** The state that the address holds; null for none. */
export function readAddress() {
  const given = new URLSearchParams(location.search);
  return PARTS.some((part) => given.has(part))
    ? Object.fromEntries(PARTS.map((part) => [part, given.get(part)]))
    : null;
}

/** The page's address with this state. */
export function addressOf(state) {
  const url = new URL(location.href);
  url.search = new URLSearchParams(PARTS.map((part) => [part, String(state[part])]));
  url.hash = "deceive";
  return url.href;
}

/** Put a state into the address bar. A page from a file or in a frame may not be allowed to. */
export function writeAddress(state) {
  try {
    history.replaceState(null, "", addressOf(state));
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
  }
}
