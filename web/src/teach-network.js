// The page's side of the worker that teaches.

export class Teacher {
  #worker;
  #waiting = new Map();
  #next = 0;

  /** `onLook` is told of every look, and `onTrouble` of what went wrong between two requests. */
  constructor({ onLook, onTrouble }) {
    this.url = new URL("teach/", document.baseURI).href;
    this.#worker = new Worker(new URL("./teach-worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data: { id, event, value, error, ...told } }) => {
      if (event === "look") return onLook(told);
      if (event === "trouble") return onTrouble(told.message);
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      const message = `The worker that teaches stopped: ${event.message ?? "?"}.`;
      for (const { reject } of this.#waiting.values()) reject(new Error(message));
      this.#waiting.clear();
      onTrouble(message);
    };
  }

  /** Do one of the worker's actions. */
  ask(action, request = {}) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, action, url: this.url, ...request });
    });
  }
}
