// The channels of an application, and who is in one.

import { at, element, fill, onSubmit, row, tell } from "./dom.js";
import { askJson, withQuery, words } from "./ask.js";

/** How long nobody must have typed before the list is asked for, in milliseconds. */
const TYPING_MS = 250;

/** How often each was asked for: only the last answer is shown. */
let asked = 0;
let askedMembers = 0;
let typing;

/** Lists the channels that the form asks for. An answer that comes late is not shown. */
export async function listChannels() {
  clearTimeout(typing);
  const mine = ++asked;
  const app = at("channels-app").value;
  const state = at("channels-state");
  at("members").hidden = true;
  askedMembers += 1;
  try {
    const { channels, total, partial } = await askJson(withQuery("/channels", { app, prefix: at("channels-prefix").value }));
    if (mine !== asked) return;
    fill(at("channels-list"), channels, (channel) => channelRow(app, channel));
    at("channels-table").hidden = total === 0;
    const cut = total > channels.length ? `; the first ${channels.length} by name` : "";
    tell(state, `${total || "No"} occupied ${total === 1 ? "channel" : "channels"}${cut}${ofThisNode(partial)}.`, "said");
  } catch (error) {
    if (mine === asked) tell(state, `Not listed: ${words(error)}`, "said bad");
  }
}

const ofThisNode = (partial) => (partial ? "; of this node alone, the others could not be asked" : "");

function channelRow(app, { name, subscriptions, users }) {
  let shown = name;
  if (users !== undefined) {
    shown = element("button", name, "link");
    shown.type = "button";
    shown.addEventListener("click", () => listMembers(app, name));
  }
  return row(shown, [subscriptions, "number"], [users ?? "", "number"]);
}

/** Lists who is in a channel. An answer that comes after another was chosen is not shown. */
async function listMembers(app, channel) {
  const mine = ++askedMembers;
  try {
    const { users, total, partial } = await askJson(withQuery("/members", { app, channel }));
    if (mine !== askedMembers) return;
    const cut = total > users.length ? `; the first ${users.length} by id` : "";
    at("members-title").textContent = `Members of ${channel}`;
    tell(at("members-state"), `${total} ${total === 1 ? "user" : "users"}${cut}${ofThisNode(partial)}.`);
    at("members-list").replaceChildren(...users.map((user) => element("li", user)));
    at("members").hidden = false;
  } catch (error) {
    if (mine === askedMembers) tell(at("channels-state"), `Members not listed: ${words(error)}`, "said bad");
  }
}

export function wireChannels() {
  onSubmit("channels-form", listChannels);
  at("channels-app").addEventListener("change", listChannels);
  at("channels-prefix").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(listChannels, TYPING_MS);
  });
}
