// The parts of the operator's page that need no browser: figures, lines of plots, the tap's stream, a quoted command.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { delay, figures, follows, read, sum, sumBy } from '../../src/edge/admin/page/figures.js';
import { brief, paths, peak, remember, segments } from '../../src/edge/admin/page/plots.js';
import { quoted } from '../../src/edge/admin/page/send.js';
import { EventReader } from '../../src/edge/admin/page/sse.js';

const look = (at, text) => ({ at, metrics: read(`process_start_time_seconds 7\n${text}`) });
const value = (shown, title) => shown.find((figure) => figure.title === title).value;

test('metrics are read with their labels, whatever these hold', () => {
  const metrics = read([
    '# HELP m Something.', '# TYPE m gauge', 'm 1.5', 'm{app_id="a\\"b\\\\c\\nd",kind="x,y=\\"z\\""} 2e3',
    'm_bucket{le="+Inf"} 4', 'm{app_id="<img src=x onerror=alert(1)>"} 1', 'm{kind="none"} NaN', 'no number', '',
  ].join('\n'));
  assert.deepEqual(metrics.get('m').map(({ labels }) => labels), [
    {}, { app_id: 'a"b\\c\nd', kind: 'x,y="z"' }, { app_id: '<img src=x onerror=alert(1)>' },
  ]);
  assert.deepEqual(metrics.get('m').map((sample) => sample.value), [1.5, 2000, 1]);
  assert.deepEqual(metrics.get('m_bucket'), [{ labels: { le: '+Inf' }, value: 4 }]);
  assert.equal(metrics.has('no'), false);
});

test('samples are added up, all or by label', () => {
  const metrics = read('d{kind="a",worker="0"} 1\nd{kind="a",worker="1"} 2\nd{kind="b",worker="0"} 4');
  assert.equal(sum(metrics, 'd'), 7);
  assert.equal(sum(metrics, 'd', 'kind', 'a'), 3);
  assert.equal(sum(metrics, 'none'), 0);
  assert.deepEqual([...sumBy(metrics, 'd', 'kind')], [['a', 3], ['b', 4]]);
});

test('what is told for each second is the growth by the time between two looks', () => {
  const name = 'micronotifier_messages_sent_total';
  const first = look(1000, `${name}{app_id="1"} 10\n${name}{app_id="2"} 0`);
  const second = look(3000, `${name}{app_id="1"} 20\n${name}{app_id="2"} 30`);
  assert.equal(value(figures(first, second), 'Messages out per second'), 20);
});

test('looks that do not compare tell no growth', () => {
  const now = look(3000, 'micronotifier_messages_sent_total 5\nmicronotifier_connections 3');
  const restarted = { at: 1000, metrics: read('process_start_time_seconds 6\nmicronotifier_messages_sent_total 9') };
  for (const before of [undefined, restarted, look(-60_000, ''), look(3000, ''), look(9000, '')]) {
    assert.equal(follows(before, now), false);
    const shown = figures(before, now);
    assert.equal(value(shown, 'Messages out per second'), undefined);
    assert.equal(value(shown, 'Loop lag, at most, ms'), undefined);
    assert.equal(value(shown, 'Connections'), 3);
  }
  // a counter that fell without a new start is not made up for
  assert.equal(value(figures(look(1000, 'micronotifier_messages_sent_total 9'), now), 'Messages out per second'), 0);
});

test('every kind of actor with mailboxes has a figure', () => {
  const name = 'micronotifier_mailbox_depth';
  const shown = figures(undefined, look(0, `${name}{kind="session",worker="0"} 2\n${name}{kind="session",worker="1"} 3\n${name}{kind="bridge",worker="0"} 0`));
  assert.deepEqual(shown.filter(({ group }) => group === 'mailboxes').map((figure) => [figure.title, figure.value]), [['session', 5], ['bridge', 0]]);
});

const LAG = 'micronotifier_worker_loop_lag_seconds';
const lag = (counts, total, label = '') => {
  const buckets = Object.entries(counts).map(([le, count]) => `${LAG}_bucket{${label}le="${le}"} ${count}`);
  const bare = label && `{${label.slice(0, -1)}}`;
  return [...buckets, `${LAG}_sum${bare} ${total}`, `${LAG}_count${bare} ${Object.values(counts).at(-1)}`].join('\n');
};
const lagOf = (before, now) => value(figures(look(0, before), look(2000, now)), 'Loop lag, at most, ms');

test('the lag is the bound of the highest bucket that has grown, of the worst worker', () => {
  const old = lag({ 0.001: 5, 0.01: 9, '+Inf': 9 }, 0.03);
  assert.equal(lagOf(old, lag({ 0.001: 9, 0.01: 13, '+Inf': 13 }, 0.032)), 1);
  assert.equal(lagOf(old, lag({ 0.001: 9, 0.01: 14, '+Inf': 14 }, 0.06)), 10);
  // beyond all bounds: no one is longer than all together
  assert.equal(lagOf(old, lag({ 0.001: 9, 0.01: 13, '+Inf': 14 }, 3.03)), 3000);
  assert.equal(lagOf(old, old), 0);
  const [calm, late] = ['worker="0",', 'worker="1",'];
  const before = `${lag({ 0.001: 0, 0.01: 0, '+Inf': 0 }, 0, calm)}\n${lag({ 0.001: 0, 0.01: 0, '+Inf': 0 }, 0, late)}`;
  const now = `${lag({ 0.001: 8, 0.01: 8, '+Inf': 8 }, 0.004, calm)}\n${lag({ 0.001: 0, 0.01: 8, '+Inf': 8 }, 0.04, late)}`;
  assert.equal(lagOf(before, now), 10);
  // one that stands still measures nothing, and is behind
  assert.equal(lagOf(old, `${old}\nmicronotifier_worker_behind_seconds{worker="1"} 4.5`), 4500);
});

test('a delay is what its share of the messages stayed below', () => {
  const name = 'w';
  const of = (...counts) => ({ metrics: read(['0.001', '0.1', '+Inf'].map((le, index) => `w_bucket{kind="a",le="${le}"} ${counts[index]}`).join('\n') + '\nw_sum{kind="a"} 9') });
  const older = { metrics: read('w_sum{kind="a"} 0') };
  assert.equal(delay(older, of(98, 100, 100), name, 0.99, 'kind', 'a'), 0.1);
  assert.equal(delay(older, of(99, 100, 100), name, 0.99, 'kind', 'a'), 0.001);
  assert.equal(delay(older, of(0, 0, 100), name, 0.99, 'kind', 'a'), 9);
  assert.equal(delay(older, of(1, 1, 1), name, 0.99, 'kind', 'b'), undefined);
});

test('a plot keeps two minutes, by time', () => {
  let values = remember([], 0, 1);
  for (const at of [60_000, 119_999, 120_000]) values = remember(values, at, 2);
  assert.deepEqual(values.map(({ at }) => at), [60_000, 119_999, 120_000]);
  // the clock was put back: what lies ahead of it is not shown
  assert.deepEqual(remember(values, 61_000, 3).map(({ at }) => at), [60_000, 61_000]);
  assert.equal(peak([]), 0);
  assert.equal(peak([{ at: 0, value: 3 }, { at: 1, value: undefined }]), 3);
});

test('a line is broken where nothing is known and where nobody looked', () => {
  const values = [[0, 1], [2000, 2], [4000, undefined], [6000, 3], [60_000, 4], [62_000, 5]].map(([at, value]) => ({ at, value }));
  assert.deepEqual(segments(values).map((part) => part.map(({ value }) => value)), [[1, 2], [3], [4, 5]]);
});

test('a line is drawn by time, from the bottom to its scale', () => {
  const values = [{ at: 0, value: 0 }, { at: 60_000, value: 10 }, { at: 120_000, value: 5 }];
  const near = values.map((each) => ({ ...each, at: each.at / 60 }));
  assert.equal(paths(near, 2000, 10).line, 'M98.33 39.00L99.17 1.00L100.00 20.00');
  // apart by a minute each: three points, no line between them
  assert.equal(paths(values, 120_000, 10).line, 'M0.00 39.00M50.00 1.00M100.00 20.00');
  assert.deepEqual(paths([], 0, 1), { line: '', area: '' });
});

test('values are written for a glance', () => {
  for (const [number, text] of [[undefined, '–'], [0, '0'], [0.123, '0.12'], [12.34, '12.3'], [1234.5, '1,235'], [2_500_000, '2.5M']]) {
    assert.equal(brief(number), text);
  }
});

const STREAM = ': looking on\n\ndata: {"text":"Grüße 🎈","n":1}\r\n\r\nevent: dropped\ndata: {"dropped":12}\n\n: still there\n\n'
  + 'data:no space\rdata: second line\r\rdata\n\nevent: nothing\n\nretry: 5\nid: 7\nodd: x\ndata: : colon: {"a":"b: c"}\n\ndata: not ended\n';
const EVENTS = [
  { type: 'message', data: '{"text":"Grüße 🎈","n":1}' },
  { type: 'dropped', data: '{"dropped":12}' },
  { type: 'message', data: 'no space\nsecond line' },
  { type: 'message', data: '' },
  { type: 'message', data: ': colon: {"a":"b: c"}' },
];

test('events are the same however their bytes are cut', () => {
  const bytes = new TextEncoder().encode(STREAM);
  for (let first = 0; first <= bytes.length; first += 1) {
    for (const second of [first, first + 1, first + 7]) {
      const reader = new EventReader();
      const chunks = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
      assert.deepEqual(chunks.flatMap((chunk) => reader.push(chunk)), EVENTS, `cut at ${first} and ${second}`);
    }
  }
  const reader = new EventReader();
  assert.deepEqual([...bytes].flatMap((byte) => reader.push(Uint8Array.of(byte))), EVENTS);
});

test('bytes that are no text do not stop the reader, an event without end does', () => {
  const reader = new EventReader();
  assert.deepEqual(reader.push(Uint8Array.of(0x64, 0x61, 0x74, 0x61, 0x3a, 0xff, 0xfe, 10, 10)), [{ type: 'message', data: '\ufffd\ufffd' }]);
  const mebibyte = new TextEncoder().encode('x'.repeat(1024 * 1024));
  assert.throws(() => { for (let times = 0; times < 6; times += 1) reader.push(mebibyte); }, /never ends/);
  const lines = new EventReader();
  const line = new TextEncoder().encode(`data: ${'x'.repeat(1024 * 1024)}\n`);
  assert.throws(() => { for (let times = 0; times < 6; times += 1) lines.push(line); }, /never ends/);
});

test('a command is quoted for a shell', () => {
  for (const [text, expected] of [['a-b', 'a-b'], ['', "''"], ["it's", "'it'\\''s'"], ['$(x)', "'$(x)'"], ['a\nb', "'a\nb'"], ['-5', '-5']]) {
    assert.equal(quoted(text), expected);
  }
});
