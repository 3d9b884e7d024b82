// An event sent by hand, and the command that does the same.

import { at, clock, onSubmit, tell } from "./dom.js";
import { sendEvent, words } from "./ask.js";

const fields = () => ["app", "channel", "event", "data"].map((field) => at(`send-${field}`).value);

async function send() {
  const [app, channel, event, data] = fields();
  const state = at("send-state");
  try {
    await sendEvent(app, channel, event, data);
    tell(state, `Sent ${event} to ${channel} at ${clock(Date.now())}.`, "said good");
  } catch (error) {
    tell(state, `Refused: ${words(error)}`, "said bad");
  }
}

/** Quotes a text for a shell. */
export function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Shows the command for what the form holds. */
export function showCommand(development) {
  const [app, ...values] = fields();
  const file = development ? "" : " -c FILE";
  const named = at("send-app").selectedIndex > 0 ? ` --app ${quoted(app)}` : "";
  // a value may begin with a dash
  at("command").textContent = `micronotifier trigger${file}${named} -- ${values.map(quoted).join(" ")}`;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(at("command").textContent);
    at("copy").textContent = "Copied";
  } catch {
    // not a secure context: leave the line selected
    getSelection().selectAllChildren(at("command"));
    at("copy").textContent = "Selected";
  }
  setTimeout(() => { at("copy").textContent = "Copy"; }, 1500);
}

export function wireSend() {
  onSubmit("send-form", send);
  at("copy").addEventListener("click", copy);
}
