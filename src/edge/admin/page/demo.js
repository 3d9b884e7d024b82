// Two clients of the public port, in this page: pusher-js as it is published.

import { at, clock, element, log, onSubmit, tell } from "./dom.js";
import { sendEvent, words } from "./ask.js";

/** What only a backend can sign a client in to. */
const SIGNED = /^(private-|presence-|#)/;
const NEEDS_SIGNATURE = "Channels that begin with private-, presence- or # need a signature of your backend: take a public name.";

/** One client. It keeps its connection for as long as address and key stay. */
class Client {
  #who;
  #pusher;
  #place;
  #channel;
  #why;

  constructor(who) {
    this.#who = who;
  }

  subscribe(address, key, channel) {
    const place = JSON.stringify([address, key]);
    if (this.#place !== place) {
      this.#pusher?.disconnect();
      this.#pusher = this.#connect(address, key);
      this.#place = place;
      this.#why = undefined;
    } else {
      // `unsubscribe` of pusher-js would keep what was not answered or refused as pending, and never ask for it again
      this.#pusher.channels.remove(this.#channel)?.unsubscribe();
    }
    this.#channel = channel;
    this.#tell(`subscribing to ${channel}`);
    const joined = this.#pusher.subscribe(channel);
    joined.bind("pusher:subscription_succeeded", () => this.#tell(`subscribed to ${channel}`));
    joined.bind("pusher:subscription_error", ({ error, status }) => this.#tell(`refused: ${error ?? status}`));
    this.#pusher.connect();
  }

  disconnect() {
    this.#why = undefined;
    this.#pusher?.disconnect();
  }

  #connect({ url, prefix }, key) {
    const { hostname, port, protocol } = new URL(url);
    const pusher = new Pusher(key, {
      cluster: "", wsHost: hostname, wsPort: port, wssPort: port, wsPath: prefix,
      forceTLS: protocol === "wss:", enabledTransports: ["ws", "wss"], enableStats: false,
    });
    pusher.connection.bind("state_change", ({ current }) => {
      // another connection has taken its place
      if (this.#pusher !== pusher) return;
      if (current === "connected") this.#why = undefined;
      this.#tell(this.#why && current !== "connecting" ? `${this.#why}: ${current}` : current);
    });
    pusher.connection.bind("error", (error) => {
      // before the handshake it is wrapped
      const { message, code } = (error?.error ?? error)?.data ?? {};
      if (this.#pusher !== pusher || !message) return;
      this.#why = code ? `${message} (${code})` : message;
      this.#tell(this.#why);
    });
    pusher.bind_global((event, data) => {
      if (event.startsWith("pusher:")) return;
      const text = typeof data === "string" ? data : JSON.stringify(data);
      const [item, what] = [element("li"), element("div", "", "what")];
      what.append(element("span", event, "name"), element("code", text));
      item.append(element("time", clock(Date.now())), what);
      log(at(`${this.#who}-events`), item);
    });
    return pusher;
  }

  #tell(text) {
    tell(at(`${this.#who}-state`), text);
  }
}

const clients = [new Client("ann"), new Client("bob")];
/** What both were asked to subscribe to; `undefined` while they are disconnected. */
let subscribed;

/** Says why a browser would not open an address from this page. */
function whyUnreachable(url) {
  if (location.protocol !== "https:" || !url.startsWith("ws:")) return undefined;
  return `This page came over TLS, from where a browser opens no ${url}: open it on the operator's port itself, or let the node serve TLS itself.`;
}

function subscribeBoth(node) {
  const [app, key, channel] = [at("demo-app").value, at("key").value, at("demo-channel").value];
  const [url] = node.sockets;
  const whyNot = SIGNED.test(channel) ? NEEDS_SIGNATURE : whyUnreachable(url);
  if (whyNot) return tell(at("demo-state"), whyNot, "said bad");
  tell(at("demo-state"), "", "said");
  subscribed = { app, channel };
  at("disconnect").disabled = false;
  for (const client of clients) client.subscribe({ url, prefix: node.path_prefix }, key, channel);
}

function disconnectBoth() {
  subscribed = undefined;
  for (const client of clients) client.disconnect();
  at("disconnect").disabled = true;
  // a button that is off cannot keep the focus
  at("subscribe").focus();
}

async function sendToBoth() {
  if (!subscribed) return tell(at("demo-state"), "Nobody listens: subscribe first.", "said bad");
  try {
    await sendEvent(subscribed.app, subscribed.channel, "message", JSON.stringify({ text: at("demo-message").value }));
    tell(at("demo-state"), "", "said");
  } catch (error) {
    tell(at("demo-state"), `Refused: ${words(error)}`, "said bad");
  }
}

/** Wires the view; `nodeNow` returns what is known of the node. */
export function wireDemo(nodeNow) {
  onSubmit("demo-form", () => subscribeBoth(nodeNow()));
  onSubmit("demo-send", sendToBoth);
  at("disconnect").addEventListener("click", disconnectBoth);
}
