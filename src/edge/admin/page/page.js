// The operator's page: asks the node how it is every two seconds, and shows one of its views.

import { at, clock, onSubmit, tell } from "./dom.js";
import { TokenNeeded, askJson, askText, fetchWithToken, token, words } from "./ask.js";
import { listChannels, wireChannels } from "./channels.js";
import { wireDemo } from "./demo.js";
import { read } from "./figures.js";
import { showOverview, takeLook } from "./overview.js";
import { showCommand, wireSend } from "./send.js";
import { wireTap } from "./tap.js";

const REFRESH_MS = 2000;

let node;
let applications = [];
/** What the lists to choose from were made of. */
let choices;
let answeredAt;
let timer;

// --- asking again and again -------------------------------------------------------------------------

async function refresh() {
  clearTimeout(timer);
  let answers;
  try {
    answers = await Promise.all([askJson("/apps"), askJson("/actors"), askText("/metrics")]);
  } catch (error) {
    if (error instanceof TokenNeeded) return askForToken();
    showSilence(words(error));
  }
  try {
    if (answers) show(...answers);
  } catch (error) {
    // of another release than this page, which was opened before
    showSilence(`the node's answer cannot be shown, load this page anew: ${error.message}`);
  } finally {
    timer = setTimeout(refresh, REFRESH_MS);
  }
}

function show(apps, actors, metrics) {
  const now = Date.now();
  node = apps.node;
  applications = apps.applications;
  takeLook({ at: now, apps, actors, metrics: read(metrics) });
  document.body.classList.remove("stale");
  const where = node.sockets[0] ? ` on ${node.sockets[0]}${node.path_prefix}` : "";
  showState(node.ready ? "good" : "bad", `${node.ready ? "serving" : "not ready"}${where}`);
  at("about").textContent = `version ${node.version}, up ${duration(node.uptime_seconds)}`;
  tell(at("reasons"), node.ready ? "" : `Not ready: ${node.reasons.join("; ")}.`);
  at("reasons").hidden = node.ready;
  offerChoices();
  at("token-form").hidden = true;
  if (at("main").hidden) {
    at("main").hidden = false;
    at("answers").hidden = false;
    showView();
  } else if (!document.hidden && !at("overview").hidden) {
    showOverview();
  }
  answeredAt = now;
}

/** Says that figures are old, and how old. */
function showSilence(why) {
  document.body.classList.add("stale");
  showState("bad", answeredAt ? `${why}; figures as of ${clock(answeredAt)}` : why);
}

function showState(kind, text) {
  at("dot").className = `dot ${kind}`;
  tell(at("state-text"), text);
  document.title = kind === "bad" ? `! ${text} · MicroNotifier` : "MicroNotifier";
}

function duration(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${seconds} s`;
}

// --- the token --------------------------------------------------------------------------------------

function askForToken() {
  const refused = token.isGiven();
  token.forget();
  at("main").hidden = true;
  at("answers").hidden = true;
  at("token-form").hidden = false;
  showState("", "the node runs");
  tell(at("token-state"), refused ? "This token is not the node's." : "");
  at("token").focus();
}

function takeToken() {
  const fits = token.keep(at("token").value.trim());
  at("token").value = "";
  if (fits) refresh();
  else tell(at("token-state"), "No token looks like this: letters, digits and signs of ASCII, without spaces.");
}

// --- what is chosen from ----------------------------------------------------------------------------

/** Offers the applications, again when a new start has changed them. What was chosen stays, if it is still there. */
function offerChoices() {
  const now = JSON.stringify([applications.map(({ id, name, key }) => [id, name, key]), node.sockets, node.path_prefix, node.development]);
  if (now === choices) return;
  choices = now;
  for (const select of document.querySelectorAll("select.apps")) {
    const chosen = select.value;
    const options = applications.map(({ id, name }) => new Option(name === id ? id : `${name} (${id})`, id));
    if (select.classList.contains("all")) options.unshift(new Option("all", ""));
    select.replaceChildren(...options);
    if (options.some(({ value }) => value === chosen)) select.value = chosen;
  }
  if (at("key").value === "") showKey();
  at("demo-form").hidden = node.sockets.length === 0;
  at("demo-send").hidden = node.sockets.length === 0;
  at("no-socket").hidden = node.sockets.length > 0;
  showCommand(node.development);
}

/** Fills in the key of the chosen application, where the node tells it. */
function showKey() {
  at("key").value = applications.find(({ id }) => id === at("demo-app").value)?.key ?? "";
}

// --- views ------------------------------------------------------------------------------------------

function showView() {
  const wanted = location.hash.slice(1);
  const views = [...document.querySelectorAll(".view")];
  const shown = views.find(({ id }) => id === wanted) ?? views[0];
  for (const view of views) view.hidden = view !== shown;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${shown.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown.id === "overview") showOverview();
  if (shown.id === "channels" && node) listChannels();
}

/** Shows what a path of this port answers: a plain link would go without the token. */
async function showAnswer(event) {
  const path = event.target.getAttribute("href");
  // the browser's own ways to open a link elsewhere stay
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  at("answer-title").textContent = path;
  try {
    const answer = await fetchWithToken(path);
    const text = await answer.text();
    const isJson = answer.headers.get("Content-Type")?.includes("json");
    at("answer-text").textContent = isJson ? JSON.stringify(JSON.parse(text), null, 2) : text;
  } catch (error) {
    at("answer-text").textContent = words(error);
  }
  at("answer").showModal();
}

wireChannels();
wireTap();
wireSend();
wireDemo(() => node);
onSubmit("token-form", takeToken);
at("send-form").addEventListener("input", () => showCommand(node.development));
at("demo-app").addEventListener("change", showKey);
for (const link of document.querySelectorAll("#answers a.answer")) link.addEventListener("click", showAnswer);
addEventListener("hashchange", showView);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !at("overview").hidden) showOverview(); });
refresh();
