// The operator's page: asks this port what the node does, looks on at its tap, sends events, and is two clients of the public port.
"use strict";

const REFRESH_MS = 2000;
const SAMPLES = 60;
const ROWS_SHOWN = 200;
const TOKEN = "micronotifier-admin-token";
const SVG = "http://www.w3.org/2000/svg";

const at = (id) => document.getElementById(id);

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function row(...cells) {
  const made = document.createElement("tr");
  made.append(...cells.map(([content, className]) => {
    const cell = document.createElement("td");
    cell.append(content);
    if (className) cell.className = className;
    return cell;
  }));
  return made;
}

/** Puts an entry on top of a list, and takes the oldest away. */
function log(list, item) {
  list.prepend(item);
  while (list.children.length > ROWS_SHOWN) list.lastElementChild.remove();
}

// --- asking the node ------------------------------------------------------------------------------

class TokenNeeded extends Error {}

/** Asks this port, with the token if there is one. What is refused is an error with the node's words. */
async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) throw new TokenNeeded();
  if (!answer.ok) {
    const { error } = await answer.json().catch(() => ({}));
    throw new Error(error ?? `${path} answers ${answer.status}`);
  }
  return answer;
}

const askJson = async (path, options) => (await ask(path, options)).json();

function withQuery(path, pairs) {
  return `${path}?${new URLSearchParams(Object.entries(pairs).filter(([, value]) => value !== ""))}`;
}

let node = { sockets: [], path_prefix: "", development: false };
let applications = [];
let timer;

async function refresh() {
  clearTimeout(timer);
  try {
    const [apps, actors, metrics] = await Promise.all([
      askJson("/apps"), askJson("/actors"), ask("/metrics").then((answer) => answer.text()),
    ]);
    show(apps, actors);
    plot(samples(metrics));
  } catch (error) {
    if (error instanceof TokenNeeded) return askForToken();
    showState("bad", "the node does not answer");
  }
  timer = setTimeout(refresh, REFRESH_MS);
}

function askForToken() {
  const refused = sessionStorage.getItem(TOKEN) !== null;
  sessionStorage.removeItem(TOKEN);
  at("main").hidden = true;
  at("token-form").hidden = false;
  showState("", refused ? "this token is not the node's" : "the node runs");
  at("token").focus();
}

function showState(kind, text) {
  at("dot").className = `dot ${kind}`;
  if (at("state-text").textContent !== text) at("state-text").textContent = text;
}

// --- overview -------------------------------------------------------------------------------------

function show(apps, actors) {
  const first = at("main").hidden;
  node = apps.node;
  applications = apps.applications;
  const where = node.sockets[0] ? ` on ${node.sockets[0]}${node.path_prefix}` : "";
  showState(node.ready ? "good" : "bad", `${node.ready ? "serving" : "not ready"}${where} · version ${node.version}`);
  at("token-form").hidden = true;
  at("main").hidden = false;
  if (first) begin();
  at("apps").replaceChildren(...applications.map((app) =>
    row([app.name], [app.id], [app.connections, "number"], [app.messages_sent, "number"])));
  at("actors").replaceChildren(...actors.actors.map(({ kind, live }) => {
    const pair = document.createElement("div");
    pair.append(element("dt", kind), element("dd", live));
    return pair;
  }));
  at("queues").replaceChildren(...actors.queues.map(queueRow));
}

/** Fills in what stays: the applications to choose from, and what the demo needs. */
function begin() {
  for (const select of document.querySelectorAll("select.apps")) {
    const options = applications.map(({ id, name }) => new Option(name === id ? id : `${name} (${id})`, id));
    if (select.classList.contains("all")) options.unshift(new Option("all", ""));
    select.replaceChildren(...options);
  }
  showKey();
  at("demo-form").hidden = node.sockets.length === 0;
  at("no-socket").hidden = node.sockets.length > 0;
  showCommand();
  showView();
}

function queueRow({ queue, shard, places, taken, highest, refused }) {
  const made = row([`${queue} ${shard}`], [""], [highest, "number"], [places, "number"], [refused, "number"]);
  const meter = document.createElement("meter");
  meter.max = places;
  meter.high = places * 0.8;
  meter.value = taken;
  meter.setAttribute("aria-label", `${taken} of ${places} places taken`);
  made.cells[1].append(meter, ` ${taken}`);
  return made;
}

/** Reads the Prometheus text format: name, labels, value. */
function samples(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = /^([a-z_0-9:]+)(?:\{(.*)\})? (\S+)$/i.exec(line) ?? [];
    if (name) found.push({ name, labels, value: Number(value) });
  }
  return found;
}

const sum = (found, name) =>
  found.filter((sample) => sample.name === name).reduce((total, { value }) => total + value, 0);

const PLOTS = [
  { title: "Connections", now: (found) => sum(found, "micronotifier_connections") },
  { title: "Messages sent, 1/s", total: (found) => sum(found, "micronotifier_messages_sent_total") },
  { title: "Messages received, 1/s", total: (found) => sum(found, "micronotifier_messages_received_total") },
  { title: "Events published, 1/s", total: (found) => sum(found, "micronotifier_events_published_total") },
  { title: "Bytes waiting", now: (found) => sum(found, "micronotifier_outbox_bytes") },
  {
    title: "Loop lag, ms",
    total: (found) => sum(found, "micronotifier_worker_loop_lag_seconds_sum") * 1000,
    per: (found) => sum(found, "micronotifier_worker_loop_lag_seconds_count"),
  },
];

/** One plot for each label of what is counted apart: mailboxes by kind of actor, queues by kind. */
const SPLIT = [
  { name: "micronotifier_queue_places_taken", label: "queue", title: (kind) => `Queue of ${kind}` },
  { name: "micronotifier_mailbox_depth", label: "kind", title: (kind) => `Mailboxes of ${kind}` },
];

const plots = new Map();
let before;

function plot(found) {
  const now = performance.now();
  const seconds = before ? (now - before.at) / 1000 : 0;
  for (const { title, now: read, total, per } of PLOTS) {
    if (read) draw(title, read(found));
    else if (!before) plots.set(title, newPlot(title));
    else {
      const units = per ? per(found) - per(before.found) : seconds;
      draw(title, units > 0 ? Math.max(0, total(found) - total(before.found)) / units : 0);
    }
  }
  for (const { name, label, title } of SPLIT) {
    const kinds = new Map();
    for (const sample of found) {
      if (sample.name !== name) continue;
      const kind = new RegExp(`${label}="([^"]*)"`).exec(sample.labels)?.[1];
      if (kind) kinds.set(kind, (kinds.get(kind) ?? 0) + sample.value);
    }
    for (const [kind, value] of kinds) draw(title(kind), value);
  }
  before = { at: now, found };
}

function draw(title, value) {
  if (!plots.has(title)) plots.set(title, newPlot(title));
  const { values, output, line, svg } = plots.get(title);
  values.push(value);
  if (values.length > SAMPLES) values.shift();
  output.textContent = value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(2);
  const top = Math.max(1, ...values);
  const points = values.map((each, index) => `${((SAMPLES - values.length + index) / (SAMPLES - 1)) * 100},${38 - (each / top) * 36}`);
  line.setAttribute("points", points.join(" "));
  svg.setAttribute("aria-label", `${title}: ${output.textContent}, at most ${Math.round(top)}`);
}

function newPlot(title) {
  const figure = document.createElement("figure");
  const caption = element("figcaption", title);
  const output = document.createElement("output");
  const svg = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "polyline");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.append(line);
  caption.append(output);
  figure.append(caption, svg);
  at("plots").append(figure);
  return { values: [], output, line, svg };
}

// --- channels -------------------------------------------------------------------------------------

async function listChannels() {
  const app = at("channels-app").value;
  at("members").hidden = true;
  try {
    const { channels, total, partial } = await askJson(withQuery("/channels", { app, prefix: at("channels-prefix").value }));
    const cut = total > channels.length ? `, the first ${channels.length} by name` : "";
    at("channels-state").textContent = `${total} occupied${cut}${partial ? ", of this node alone" : ""}`;
    at("channels-list").replaceChildren(...channels.map(({ name, subscriptions, users }) => {
      let shown = name;
      if (users !== undefined) {
        shown = element("button", name);
        shown.type = "button";
        shown.addEventListener("click", () => listMembers(app, name));
      }
      return row([shown], [subscriptions, "number"], [users ?? "", "number"]);
    }));
  } catch (error) {
    at("channels-state").textContent = words(error);
  }
}

async function listMembers(app, channel) {
  try {
    const { users, total } = await askJson(withQuery("/members", { app, channel }));
    at("members-title").textContent = `Members of ${channel} (${total})`;
    at("members-list").textContent = users.join(", ") + (total > users.length ? " …" : "");
    at("members").hidden = false;
  } catch (error) {
    at("channels-state").textContent = words(error);
  }
}

function words(error) {
  return error instanceof TokenNeeded ? "The token is not the node's: load the page again." : error.message;
}

// --- tap ------------------------------------------------------------------------------------------

let looking;

async function lookOn() {
  const mine = new AbortController();
  looking = mine;
  at("tap-button").textContent = "Stop";
  at("sightings").replaceChildren();
  at("tap-state").textContent = "Asking …";
  try {
    const wanted = { app: at("tap-app").value, channel: at("tap-channel").value, type: at("tap-type").value };
    const answer = await ask(withQuery("/tap", wanted), { signal: mine.signal });
    at("tap-state").textContent = "Looking on.";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data: ")) showSighting(JSON.parse(line.slice(6)));
    }
    at("tap-state").textContent = "The node has ended the tap.";
  } catch (error) {
    at("tap-state").textContent = mine.signal.aborted ? "Not looking on." : words(error);
  }
  if (looking === mine) {
    looking = undefined;
    at("tap-button").textContent = "Look on";
  }
}

function showSighting(seen) {
  const item = document.createElement("li");
  if (seen.dropped !== undefined) {
    item.append(element("b", `${seen.dropped} missed: this page was too slow`));
    return log(at("sightings"), item);
  }
  item.className = seen.type;
  item.append(element("time", new Date(seen.at).toLocaleTimeString("en-GB")), element("b", seen.type));
  const told = [
    seen.channel, seen.event, seen.text, seen.code,
    seen.subscribers !== undefined && `subscribers: ${seen.subscribers}`,
    seen.bytes !== undefined && `${seen.bytes} bytes`,
    seen.user && `user ${seen.user}`, seen.socket && `socket ${seen.socket}`, seen.app && `app ${seen.app}`,
  ];
  for (const text of told) if (text !== undefined && text !== false) item.append(element("span", text));
  if (seen.data !== undefined) item.append(element("code", seen.data));
  log(at("sightings"), item);
}

// --- sending --------------------------------------------------------------------------------------

function sendEvent(app, channel, name, data) {
  return ask(withQuery("/events", { app }), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name, channel, data }),
  });
}

async function send() {
  const [app, channel, event, data] = ["app", "channel", "event", "data"].map((field) => at(`send-${field}`).value);
  try {
    await sendEvent(app, channel, event, data);
    at("send-state").textContent = `Sent ${event} to ${channel} at ${new Date().toLocaleTimeString("en-GB")}.`;
  } catch (error) {
    at("send-state").textContent = `Refused: ${words(error)}`;
  }
}

function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function showCommand() {
  const file = node.development ? "" : " -c FILE";
  const app = at("send-app").selectedIndex > 0 ? ` --app ${quoted(at("send-app").value)}` : "";
  const [channel, event, data] = ["channel", "event", "data"].map((field) => quoted(at(`send-${field}`).value));
  at("command").textContent = `micronotifier trigger${file}${app} ${channel} ${event} ${data}`;
}

async function copy() {
  const text = at("command").textContent;
  try {
    await navigator.clipboard.writeText(text);
    at("copy").textContent = "Copied";
  } catch {
    // not a secure context: leave the line selected
    getSelection().selectAllChildren(at("command"));
    at("copy").textContent = "Selected";
  }
  setTimeout(() => { at("copy").textContent = "Copy"; }, 1500);
}

// --- two clients ----------------------------------------------------------------------------------

let clients = [];

function showKey() {
  at("key").value = applications.find(({ id }) => id === at("demo-app").value)?.key ?? "";
}

function subscribeBoth() {
  for (const client of clients) client.disconnect();
  clients = ["ann", "bob"].map((who) => subscribe(who, at("key").value, at("demo-channel").value));
}

function subscribe(who, key, channel) {
  const { hostname, port, protocol } = new URL(node.sockets[0]);
  const client = new Pusher(key, {
    cluster: "", wsHost: hostname, wsPort: port, wssPort: port, wsPath: node.path_prefix,
    forceTLS: protocol === "wss:", enabledTransports: ["ws", "wss"], enableStats: false,
  });
  const tell = (text) => { at(`${who}-state`).textContent = text; };
  tell("connecting …");
  client.connection.bind("state_change", ({ current }) => { if (current !== "connected") tell(current); });
  client.connection.bind("error", ({ error }) => { if (error?.data?.message) tell(error.data.message); });
  const channelOf = client.subscribe(channel);
  channelOf.bind("pusher:subscription_succeeded", () => tell(`subscribed to ${channel}`));
  channelOf.bind("pusher:subscription_error", ({ error, status }) => tell(`refused: ${error ?? status}`));
  client.bind_global((event, data) => {
    if (event.startsWith("pusher:")) return;
    const item = document.createElement("li");
    const text = typeof data === "string" ? data : JSON.stringify(data);
    item.append(element("time", new Date().toLocaleTimeString("en-GB")), element("b", event), element("code", text));
    log(at(`${who}-events`), item);
  });
  return client;
}

async function sendToBoth() {
  try {
    await sendEvent(at("demo-app").value, at("demo-channel").value, "message", JSON.stringify({ text: at("demo-message").value }));
    at("demo-state").textContent = "";
  } catch (error) {
    at("demo-state").textContent = `Refused: ${words(error)}`;
  }
}

// --- views ----------------------------------------------------------------------------------------

function showView() {
  const wanted = location.hash.slice(1);
  const views = [...document.querySelectorAll(".view")];
  const shown = views.find(({ id }) => id === wanted) ?? views[0];
  for (const view of views) view.hidden = view !== shown;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${shown.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown.id === "channels") listChannels();
}

const onSubmit = (form, act) => at(form).addEventListener("submit", (event) => {
  event.preventDefault();
  act();
});
onSubmit("channels-form", listChannels);
onSubmit("tap-form", () => { if (looking) looking.abort(); else lookOn(); });
onSubmit("send-form", send);
onSubmit("demo-form", subscribeBoth);
onSubmit("demo-send", sendToBoth);
onSubmit("token-form", () => {
  sessionStorage.setItem(TOKEN, at("token").value);
  at("token").value = "";
  refresh();
});
at("send-form").addEventListener("input", showCommand);
at("demo-app").addEventListener("change", showKey);
at("copy").addEventListener("click", copy);
addEventListener("hashchange", showView);
refresh();
