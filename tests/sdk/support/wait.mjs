// Waiting with a deadline: every wait of these tests ends in the thing waited for or in an error that names it.

/** How long one thing may take, in milliseconds. */
export const DEADLINE_MS = 15_000;

/** Returns what `promise` resolves to; rejects after `milliseconds`, naming `what` was waited for. */
export async function within(what, promise, milliseconds = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${milliseconds} ms for ${what}`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks `question` again and again until it returns something truthy, and returns that. */
export async function eventually(what, question, milliseconds = DEADLINE_MS) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${milliseconds} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What a client was told, in order: callbacks `put`, tests `take`. */
export class Inbox {
  #entries = [];
  #waiting = [];

  constructor(name) {
    this.name = name;
  }

  /** Appends one entry. An arrow, so that it can be handed out as a callback. */
  put = (entry) => {
    const resolve = this.#waiting.shift();
    if (resolve) resolve(entry);
    else this.#entries.push(entry);
  };

  /** Removes and returns the oldest entry, waiting for it if there is none yet. */
  take() {
    if (this.#entries.length > 0) return Promise.resolve(this.#entries.shift());
    const entry = new Promise((resolve) => this.#waiting.push(resolve));
    return within(`an entry of ${this.name}`, entry);
  }

  /** How many entries wait to be taken. */
  get size() {
    return this.#entries.length;
  }
}
