// What /metrics tells, and what has changed between two looks at it. Pure: no page, no clock.

/** A look that comes later than this after another says nothing about what was between them, in milliseconds. */
export const GAP_MS = 7000;

const LINE = /^([a-z_:][a-z_0-9:]*)(?:\{(.*)\})? (\S+)$/i;
const LABEL = /([a-z_]\w*)="((?:[^"\\]|\\.)*)"/gi;
const MILLIS = 1000;

/** Reads the Prometheus text format: for each name its samples, with labels and value. */
export function read(text) {
  const metrics = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    const number = Number(value?.replace("Inf", "Infinity"));
    if (!name || Number.isNaN(number)) continue;
    const pairs = [...labels.matchAll(LABEL)].map(([, label, quoted]) => [label, unescaped(quoted)]);
    if (!metrics.has(name)) metrics.set(name, []);
    metrics.get(name).push({ labels: Object.fromEntries(pairs), value: number });
  }
  return metrics;
}

const unescaped = (text) => text.replace(/\\(.)/g, (_, sign) => (sign === "n" ? "\n" : sign));

const samples = (metrics, name) => metrics.get(name) ?? [];

/** Adds up the samples of a name, those alone that have this label if one is given. */
export function sum(metrics, name, label, value) {
  const wanted = samples(metrics, name).filter(({ labels }) => label === undefined || labels[label] === value);
  return wanted.reduce((total, sample) => total + sample.value, 0);
}

/** Adds up the samples of a name for each value of a label. */
export function sumBy(metrics, name, label) {
  const sums = new Map();
  for (const { labels, value } of samples(metrics, name)) {
    sums.set(labels[label], (sums.get(labels[label]) ?? 0) + value);
  }
  return sums;
}

/** Returns the highest sample of a name; 0 if there is none. */
export const highest = (metrics, name) => Math.max(0, ...samples(metrics, name).map(({ value }) => value));

/** Tells whether two looks are at the same process, one soon after the other: only then do their counters compare. */
export function follows(before, now) {
  const start = (look) => sum(look.metrics, "process_start_time_seconds");
  return before !== undefined && now.at > before.at && now.at - before.at <= GAP_MS && start(before) === start(now);
}

/** Returns how much a counter has grown in each second between two looks. */
function perSecond(before, now, ...names) {
  const grown = (name) => sum(now.metrics, name) - sum(before.metrics, name);
  const total = names.reduce((all, name) => all + grown(name), 0);
  return (Math.max(0, total) * MILLIS) / (now.at - before.at);
}

/**
 * Returns what a histogram has counted since an older look: upper bounds in order, each with how many fell below
 * it and above the one before, and their sum. `label` and `value` choose among histograms of one name.
 */
function grown(before, now, name, label, value) {
  const bounds = (look) => sumBy(new Map([[name, samples(look.metrics, `${name}_bucket`).filter(
    ({ labels }) => label === undefined || labels[label] === value)]]), name, "le");
  const older = bounds(before);
  const buckets = [...bounds(now)]
    .map(([le, count]) => ({ bound: le === "+Inf" ? Infinity : Number(le), below: count - (older.get(le) ?? 0) }))
    .sort((one, other) => one.bound - other.bound);
  const total = sum(now.metrics, `${name}_sum`, label, value) - sum(before.metrics, `${name}_sum`, label, value);
  return { buckets, total, count: buckets.at(-1)?.below ?? 0 };
}

/**
 * Returns what a share of all measured stays below, in the unit of the histogram; `undefined` if nothing was measured.
 * None can be longer than all together, which bounds the bucket that has no bound.
 */
export function delay(before, now, name, share, label, value) {
  const { buckets, total, count } = grown(before, now, name, label, value);
  if (count <= 0) return undefined;
  return Math.min(buckets.find(({ below }) => below >= share * count).bound, total);
}

/** Returns the highest lag of any worker since the last look, in milliseconds. */
function loopLag(before, now) {
  const name = "micronotifier_worker_loop_lag_seconds";
  const workers = new Set(samples(now.metrics, `${name}_count`).map(({ labels }) => labels.worker));
  const lags = [...workers].map((worker) => delay(before, now, name, 1, worker && "worker", worker) ?? 0);
  // a loop that stands still measures nothing
  return Math.max(highest(now.metrics, "micronotifier_worker_behind_seconds"), ...lags) * MILLIS;
}

/** What is plotted besides mailboxes: where, its title, and its value at this look. What needs an older look has none at the first. */
const FIGURES = [
  { group: "traffic", title: "Connections", now: ({ metrics }) => sum(metrics, "micronotifier_connections") },
  { group: "traffic", title: "Messages in per second", since: (before, now) => perSecond(before, now, "micronotifier_messages_received_total") },
  { group: "traffic", title: "Messages out per second", since: (before, now) => perSecond(before, now, "micronotifier_messages_sent_total") },
  {
    group: "traffic",
    title: "Events per second",
    since: (before, now) => perSecond(before, now, "micronotifier_events_published_total", "micronotifier_client_events_total"),
  },
  { group: "slow", title: "Loop lag, at most, ms", since: loopLag },
  { group: "slow", title: "Bytes waiting", now: ({ metrics }) => sum(metrics, "micronotifier_outbox_bytes") },
  { group: "slow", title: "Evictions per second", since: (before, now) => perSecond(before, now, "micronotifier_connections_evicted_total") },
  { group: "slow", title: "Clients refused per second", since: (before, now) => perSecond(before, now, "micronotifier_connections_refused_total") },
  { group: "slow", title: "Work refused per second", since: (before, now) => perSecond(before, now, "micronotifier_queue_refusals_total") },
];

/** Returns what is plotted at a look; `before` is the look before it, if there was one. */
export function figures(before, now) {
  const older = follows(before, now) ? before : undefined;
  const shown = FIGURES.map(({ group, title, now: read, since }) =>
    ({ group, title, value: read ? read(now) : older && since(older, now) }));
  for (const [kind, value] of sumBy(now.metrics, "micronotifier_mailbox_depth", "kind")) {
    shown.push({ group: "mailboxes", title: kind, value });
  }
  return shown;
}
