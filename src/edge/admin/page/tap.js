// Looks on at the tap: what passes through the node, newest first.

import { ROWS_SHOWN, at, element, log, onSubmit, tell } from "./dom.js";
import { Refused, TokenNeeded, ask, withQuery, words } from "./ask.js";
import { EventReader } from "./sse.js";

/** The node gives a sign of life every 15 s. After this long without one it is asked anew, in milliseconds. */
const SILENCE_MS = 45_000;
/** How long to wait before asking again, at most, in seconds. It doubles from one. */
const LONGEST_WAIT = 15;
/** How much work events may make before clicks and keys have their turn, in milliseconds. */
const TURN_MS = 20;
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

let looking;
let paused = false;
let frame;
/** What is not shown yet; the text of an event is read when it is shown, and most of a flood never is. */
let waiting = [];
let seen = 0;
let missed = 0;

const turn = (milliseconds = 0) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** Looks on at what the form asks for until it is stopped, and asks again when the node was away. */
async function lookOn() {
  stop();
  const mine = new AbortController();
  looking = mine;
  [waiting, seen, missed] = [[], 0, 0];
  at("sightings").replaceChildren();
  showButtons();
  showCount();
  const wanted = { app: at("tap-app").value, channel: at("tap-channel").value, type: at("tap-type").value };
  const said = (text, className = "said") => { if (looking === mine) tell(at("tap-state"), text, className); };
  said("Asking …");
  let wait = 1;
  let isFirst = true;
  while (looking === mine) {
    let why = "the node has ended the tap";
    try {
      await readTap(wanted, mine, () => {
        said("Looking on.", "said good");
        if (!isFirst) take({ type: "gap" });
        isFirst = false;
        wait = 1;
      });
    } catch (error) {
      why = words(error);
      if (error instanceof TokenNeeded || (error instanceof Refused && error.status < 500)) return end(mine, why);
    }
    said(`Not looking on: ${why}. Asking again in ${wait} s.`, "said bad");
    await turn(wait * 1000);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/** Reads the tap until it ends; what it does not say for too long ends it too. */
async function readTap(wanted, mine, begun) {
  const silent = new AbortController();
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silent.abort(new Error(`nothing was heard of the node for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  };
  heard();
  try {
    const signal = AbortSignal.any([mine.signal, silent.signal]);
    const answer = await ask(withQuery("/tap", wanted), { signal });
    begun();
    const chunks = answer.body.getReader();
    const events = new EventReader();
    let worked = 0;
    for (;;) {
      const { done, value } = await chunks.read();
      if (done || looking !== mine) return;
      heard();
      const began = performance.now();
      for (const event of events.push(value)) take(event);
      worked += performance.now() - began;
      if (worked > TURN_MS) {
        await turn();
        // a tab that nobody sees may wait a minute for its turn
        heard();
        worked = 0;
      }
    }
  } catch (error) {
    throw silent.signal.aborted ? silent.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

function take(event) {
  if (event.type === "message") seen += 1;
  if (event.type === "dropped") missed += JSON.parse(event.data).dropped;
  waiting.push(event);
  if (waiting.length > ROWS_SHOWN) waiting.shift();
  frame ??= requestAnimationFrame(show);
}

/** Shows what waits, at most once for each picture of the screen. */
function show() {
  frame = undefined;
  showCount();
  if (paused) return;
  const newest = waiting.map(rowOf).reverse();
  waiting = [];
  log(at("sightings"), ...newest);
}

function showCount() {
  const lost = missed > 0 ? `, ${missed.toLocaleString("en")} missed: this page was too slow` : "";
  const held = paused && waiting.length > 0 ? `, ${waiting.length} to show` : "";
  at("tap-count").textContent = seen + missed > 0 ? `${seen.toLocaleString("en")} seen${held}${lost}` : "";
}

function rowOf({ type, data }) {
  if (type === "gap") return element("li", "The tap was cut off here: what passed meanwhile is not shown.", "note");
  if (type === "dropped") return element("li", `${JSON.parse(data).dropped} missed here: this page was too slow.`, "note");
  const it = JSON.parse(data);
  const item = element("li", "", it.type);
  const time = element("time", CLOCK.format(it.at));
  const what = element("div", "", "what");
  const say = (text, className) => what.append(element("span", text, className), " ");
  if (it.channel !== undefined) say(it.channel, "name");
  if (it.event !== undefined) say(it.event, "name");
  if (it.text !== undefined) say(it.text, it.type === "error" ? "name" : "");
  if (it.code !== undefined) say(`code ${it.code}`);
  if (it.subscribers !== undefined) say(`${it.subscribers} ${it.subscribers === 1 ? "subscriber" : "subscribers"}`);
  if (it.bytes !== undefined) say(`${it.bytes} bytes`);
  if (it.user !== undefined) say(`user ${it.user}`);
  // "all" and one application: nothing to tell apart
  if (it.app !== undefined && at("tap-app").options.length > 2) say(`app ${it.app}`);
  if (it.socket !== undefined) say(it.socket, "socket");
  if (it.data !== undefined) what.append(element("code", it.data));
  item.append(time, element("b", it.type), what);
  return item;
}

function showButtons() {
  const isOff = looking === undefined;
  at("tap-pause").disabled = isOff;
  at("tap-stop").disabled = isOff;
  at("tap-pause").textContent = paused ? "Go on" : "Pause";
}

function end(mine, why) {
  if (looking !== mine) return;
  stop();
  tell(at("tap-state"), `Not looking on: ${why}.`, "said bad");
}

function stop() {
  looking?.abort();
  looking = undefined;
  paused = false;
  showButtons();
  // what was held while it paused
  show();
}

export function wireTap() {
  onSubmit("tap-form", lookOn);
  at("tap-pause").addEventListener("click", () => {
    paused = !paused;
    showButtons();
    show();
  });
  at("tap-stop").addEventListener("click", () => {
    stop();
    tell(at("tap-state"), "Stopped.", "said");
    // a button that is off cannot keep the focus
    at("tap-button").focus();
  });
}
