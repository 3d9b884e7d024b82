// Reads server-sent events from bytes, however they are cut. Pure.
// Source: WHATWG HTML, section 9.2.6, without `id` and `retry`: the tap has neither.

/** What an event may hold before it ends, in characters; whatever is longer is no tap. */
const LONGEST = 4 * 1024 * 1024;

export class EventReader {
  #decoder = new TextDecoder();
  #rest = "";
  #type = "";
  #data = [];
  #held = 0;

  /** Takes a chunk and returns the events that end in it, each with its type and data. */
  push(bytes) {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    // a CR at the end may be half of a CRLF
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) this.#take(line, events);
    if (this.#held + this.#rest.length > LONGEST) throw new Error("the node sends an event that never ends");
    return events;
  }

  #take(line, events) {
    if (line === "") {
      if (this.#data.length > 0) events.push({ type: this.#type || "message", data: this.#data.join("\n") });
      this.#type = "";
      this.#data = [];
      this.#held = 0;
      return;
    }
    const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (field === "event") this.#type = value;
    if (field === "data") {
      this.#data.push(value);
      this.#held += value.length;
    }
  }
}
