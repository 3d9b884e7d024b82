// The operator's page: asks this port what the node does, and is a small client of the public one.
"use strict";

const REFRESH_MS = 2000;
const EVENTS_SHOWN = 50;
const PING_MS = 60000;
const TOKEN = "micronotifier-admin-token";

const at = (id) => document.getElementById(id);

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// --- what the node says ---------------------------------------------------------------------------

class TokenNeeded extends Error {}

let node = { sockets: [], path_prefix: "", development: false };
let timer;

async function ask(path) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers });
  if (answer.status === 401) throw new TokenNeeded();
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer.json();
}

async function refresh() {
  clearTimeout(timer);
  try {
    const [apps, actors] = await Promise.all([ask("/apps"), ask("/actors")]);
    show(apps, actors);
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

function show(apps, actors) {
  const first = at("main").hidden;
  node = apps.node;
  const where = node.sockets[0] ? ` on ${node.sockets[0]}${node.path_prefix}` : "";
  showState(node.ready ? "good" : "bad", `${node.ready ? "serving" : "not ready"}${where} · version ${node.version}`);
  at("token-form").hidden = true;
  at("main").hidden = false;
  if (first) {
    at("key").value = apps.applications.find((app) => app.key)?.key ?? "";
    at("try-form").hidden = node.sockets.length === 0;
    at("no-socket").hidden = node.sockets.length > 0;
    showCommand();
  }
  at("apps").replaceChildren(...apps.applications.map((app) =>
    row([app.name], [app.id], [app.connections, "number"], [app.messages_sent, "number"])));
  at("actors").replaceChildren(...actors.actors.map(({ kind, live }) => {
    const pair = document.createElement("div");
    pair.append(element("dt", kind), element("dd", live));
    return pair;
  }));
  at("queues").replaceChildren(...actors.queues.map(queueRow));
}

function row(...cells) {
  const made = document.createElement("tr");
  made.append(...cells.map(([text, className]) => element("td", text, className)));
  return made;
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

// --- a client of the public port ------------------------------------------------------------------

let socket;
let pinging;

function subscribe(key, channel) {
  close();
  const url = `${node.sockets[0]}${node.path_prefix}/app/${encodeURIComponent(key)}?protocol=7&client=page&version=0.1`;
  const mine = new WebSocket(url);
  socket = mine;
  let refusal;
  const send = (event, data) => mine.send(JSON.stringify({ event, data }));
  const tell = (text) => { if (socket === mine) at("try-state").textContent = text; };
  tell("Connecting …");
  mine.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    switch (message.event) {
      case "pusher:connection_established":
        send("pusher:subscribe", { channel });
        pinging = setInterval(() => send("pusher:ping", {}), PING_MS);
        break;
      case "pusher:ping": send("pusher:pong", {}); break;
      case "pusher:pong": break;
      case "pusher_internal:subscription_succeeded": tell(`Subscribed to ${channel}.`); break;
      case "pusher:subscription_error": tell(`Refused: ${JSON.parse(message.data).error}`); break;
      case "pusher:error":
        refusal = message.data.message;
        tell(`Refused: ${refusal}`);
        break;
      default: showEvent(message);
    }
  };
  mine.onclose = ({ code }) => {
    if (socket === mine) clearInterval(pinging);
    tell(refusal ? `Refused: ${refusal}` : `The connection ended (${code}).`);
  };
}

function close() {
  clearInterval(pinging);
  socket?.close();
  socket = undefined;
}

function showEvent({ event, data }) {
  const item = document.createElement("li");
  const text = typeof data === "string" ? data : JSON.stringify(data);
  item.append(element("time", new Date().toLocaleTimeString()), element("b", event), element("code", text));
  const list = at("events");
  list.prepend(item);
  while (list.children.length > EVENTS_SHOWN) list.lastElementChild.remove();
}

// --- the line for a terminal ----------------------------------------------------------------------

function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function showCommand() {
  const file = node.development ? "" : " -c FILE";
  at("command").textContent = `micronotifier trigger${file} ${quoted(at("channel").value || "my-channel")} my-event '{"hello":"world"}'`;
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

at("try-form").addEventListener("submit", (event) => {
  event.preventDefault();
  subscribe(at("key").value, at("channel").value);
});
at("channel").addEventListener("input", showCommand);
at("copy").addEventListener("click", copy);
at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, at("token").value);
  at("token").value = "";
  refresh();
});
refresh();
