// What every worker needs: files, with how much of each has come, and answers to messages.

/** A file, or an error whose message is a sentence for the page; `onBytes` hears how many came. */
export async function fetched(url, what, onBytes = () => {}) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(`${what} could not be fetched: ${error.message}.`);
  }
  // `deceive page` says in words why a network that its package leaves out isn't there.
  const said = (response.status === 503 && response.statusText) || `the host says ${response.status}`;
  if (!response.ok) throw new Error(`${what} could not be fetched: ${said}.`);
  // Some hosts answer with a page of their own where a file is missing, and call that a success.
  if (response.headers.get("content-type")?.startsWith("text/html"))
    throw new Error(`${what} could not be fetched: the host answers with a web page instead.`);
  return read(response, what, onBytes);
}

async function read(response, what, onBytes) {
  const parts = [];
  let size = 0;
  try {
    for (let reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      onBytes((size += value.length));
    }
  } catch (error) {
    throw new Error(`${what} could not be fetched: ${error.message}.`);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The bytes of a compressed file; a host may have undone the compression already. */
export async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.buffer;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/**
 * Answer a worker's messages with `actions`, one after the other. Those of `aside` are answered at
 * once, beside the others; they get a second argument, which tells the page of bytes that came.
 */
export function serve(actions, aside = {}) {
  let queue = Promise.resolve();
  self.onmessage = ({ data: { id, action, ...request } }) => {
    const answer = async (act) => {
      try {
        const value = await act(request, (bytes) => self.postMessage({ id, bytes }));
        self.postMessage({ id, value });
      } catch (error) {
        self.postMessage({ id, error: error.message });
      }
    };
    if (action in aside) answer(aside[action]);
    else queue = queue.then(() => answer(actions[action]));
  };
}
