// The first view: whether the cluster is whole, what the node does now, and where messages wait.

import { at, element, fill, row, tell } from "./dom.js";
import { delay, figures, highest, sum, sumBy } from "./figures.js";
import { brief, drawPlots, plot } from "./plots.js";

/** How far back delays are looked at, in milliseconds. */
const SPAN_MS = 120_000;
/** The share of all messages whose delay is told. */
const SHARE = 0.99;

let last;
/** Older looks, with what delays need of them. */
let looks = [];

/** Takes a look at the node: what `/apps` and `/actors` tell, and the metrics that were read at `at`. */
export function takeLook(look) {
  plot(look.at, figures(last, look));
  last = look;
  const kept = new Map([...look.metrics].filter(([name]) => name.startsWith("micronotifier_mailbox_")));
  const start = sum(look.metrics, "process_start_time_seconds");
  looks = looks.filter((older) => older.start === start && older.at > look.at - SPAN_MS && older.at < look.at);
  looks.push({ at: look.at, start, metrics: kept });
}

/** Shows the last look, if there was one. */
export function showOverview() {
  if (!last) return;
  const { apps, actors, metrics } = last;
  drawPlots(last.at);
  const isMeasured = metrics.has("micronotifier_mailbox_depth");
  at("not-measured").hidden = isMeasured;
  document.body.classList.toggle("unmeasured", !isMeasured);
  showCluster(apps.cluster);
  const evicted = sumBy(metrics, "micronotifier_connections_evicted_total", "app_id");
  fill(at("apps"), apps.applications, (app) => row(
    app.name, app.id, count(app.connections), count(app.messages_sent), count(evicted.get(app.id) ?? 0)));
  const live = new Map(actors.actors.map((actor) => [actor.kind, actor.live]));
  const depths = sumBy(metrics, "micronotifier_mailbox_depth", "kind");
  fill(at("actors"), [...new Set([...live.keys(), ...depths.keys()])], (kind) => row(
    kind, count(live.get(kind)), ...[count(depths.get(kind)), count(most(kind)), longest("wait", kind), longest("handling", kind)].map(measured)));
  fill(at("queues"), actors.queues, queueRow);
}

const count = (value) => [value === undefined ? "" : value.toLocaleString("en"), "number"];

/** A cell that is not there where mailboxes are not measured. */
const measured = ([text, className]) => [text, `${className} measured`];

function most(kind) {
  const of = (last.metrics.get("micronotifier_mailbox_depth_highest") ?? []).filter(({ labels }) => labels.kind === kind);
  return of.length > 0 ? highest(new Map([["of", of]]), "of") : undefined;
}

/** Returns what nearly all messages to a kind of actor stayed below in the last two minutes. */
function longest(what, kind) {
  const seconds = delay(looks[0], looks.at(-1), `micronotifier_mailbox_${what}_seconds`, SHARE, "kind", kind);
  return [seconds === undefined ? "–" : `${brief(seconds * 1000)} ms`, "number"];
}

function queueRow({ queue, shard, places, taken, highest: peak, refused }) {
  const meter = element("meter");
  meter.max = places;
  meter.high = places * 0.8;
  meter.value = taken;
  meter.setAttribute("aria-hidden", "true");
  const made = row(`${queue} ${shard}`, "", count(peak), count(places), count(refused));
  made.cells[1].append(meter, element("span", taken.toLocaleString("en")));
  return made;
}

function showCluster(cluster) {
  if (!cluster) {
    showHealth("", "This node stands alone.");
    at("cluster").replaceChildren();
    return;
  }
  const troubles = [
    !cluster.bridge_whole && "events do not go between the nodes",
    // null: this node shares events alone
    cluster.membership_reachable === false && "who is where cannot be shared",
  ].filter(Boolean);
  showHealth(troubles.length === 0 ? "good" : "bad", troubles.length === 0 ? "whole" : `not whole: ${troubles.join("; ")}`);
  const facts = [
    ["Probe, there and back", `${brief(cluster.probe_seconds * 1000)} ms`],
    ["Redis heard this node", cluster.lease_age_seconds === null ? "–" : `${brief(cluster.lease_age_seconds)} s ago`],
    ["Channels followed", count(cluster.followed_channels)[0]],
    ["Gaps found", count(cluster.holes)[0]],
    ["Events lost", count(cluster.lost)[0]],
  ];
  at("cluster").replaceChildren(...facts.map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", value));
    return pair;
  }));
}

function showHealth(kind, text) {
  at("cluster-dot").className = `dot ${kind}`;
  tell(at("cluster-state"), text);
}
