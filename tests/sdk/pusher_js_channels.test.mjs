// pusher-js 8.6.0 in Node.js: every kind of channel, and the events on it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { backendOf } from './support/backend.mjs';
import { Clients, inbox, next, subscribed } from './support/client.mjs';
import { COUNTED_APP, RunningNode } from './support/node.mjs';

const ANN = { user_id: 'ann', user_info: { name: 'Ann' } };
const BOB = { user_id: 'bob', user_info: { name: 'Bob' } };

let node;
let backend;
before(async () => {
  node = await RunningNode.start();
  backend = backendOf(node);
});
after(() => node?.stop());

test('a public channel brings events with their data, in order', async (t) => {
  const clients = new Clients(t, node);
  const { channel } = await subscribed(await clients.connect(), 'public');
  const events = inbox(channel, 'event');
  const sent = [{ hello: 'wörld \u2028 🎈' }, 'plain text', 'null', 42, [1, [2]], '', 'a "quoted" \\ text'];
  for (const data of sent) await backend.trigger('public', 'event', data);
  const heard = [];
  for (const _ of sent) heard.push(await events.take());
  // pusher-js parses text that happens to be JSON: 'null' and 42 arrive as values.
  assert.deepEqual(heard, [sent[0], 'plain text', null, 42, [1, [2]], '', 'a "quoted" \\ text']);
});

test('after unsubscribe nothing more is heard', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect();
  const { channel } = await subscribed(client, 'left');
  const witness = await subscribed(await clients.connect(), 'left');
  const events = inbox(client, 'event');
  client.unsubscribe('left');
  await subscribed(client, 'marker'); // answered after the unsubscribe: order of arrival
  const seen = next(witness.channel, 'event');
  await backend.trigger('left', 'event', 1);
  await seen; // order holds within a channel only, so somebody else says when the first has gone out
  await backend.trigger('marker', 'event', 2);
  assert.equal(await events.take(), 2);
  assert.equal(channel.subscribed, false);
});

test('unsubscribe and subscribe back to back ends subscribed', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect();
  await subscribed(client, 'flicker');
  client.unsubscribe('flicker');
  const { channel } = await subscribed(client, 'flicker');
  const heard = next(channel, 'event');
  await backend.trigger('flicker', 'event', 1);
  assert.equal(await heard, 1);
});

test('socket_id leaves out the client that caused the event', async (t) => {
  const clients = new Clients(t, node);
  const [author, reader] = [await clients.connect(), await clients.connect()];
  const [own, others] = [await subscribed(author, 'excluding'), await subscribed(reader, 'excluding')];
  const [toAuthor, toReader] = [inbox(own.channel, 'event'), inbox(others.channel, 'event')];
  await backend.trigger('excluding', 'event', 1, { socket_id: author.connection.socket_id });
  await backend.trigger('excluding', 'event', 2);
  assert.deepEqual([await toReader.take(), await toReader.take()], [1, 2]);
  assert.equal(await toAuthor.take(), 2);
});

test('a private channel is joined with a signature', async (t) => {
  const clients = new Clients(t, node);
  const { channel } = await subscribed(await clients.connect(), 'private-room');
  const heard = next(channel, 'event');
  await backend.trigger('private-room', 'event', { n: 1 });
  assert.deepEqual(await heard, { n: 1 });
});

test('a wrong signature is refused and the connection goes on', async (t) => {
  const clients = new Clients(t, node);
  const forge = (_, done) => done(null, { auth: `1234567890:${'0'.repeat(64)}` });
  const client = await clients.connect({ channelAuthorization: { customHandler: forge } });
  const errors = inbox(client.connection, 'error');
  const refusal = await next(client.subscribe('private-room'), 'pusher:subscription_error');
  assert.equal(refusal.type, 'AuthError');
  assert.equal(refusal.status, 401);
  assert.match(refusal.error, /^Invalid signature: Expected HMAC SHA256 hex digest of /);
  assert.deepEqual((await errors.take()).data, { code: null, message: refusal.error });
  await subscribed(client, 'public-after-refusal');
});

test('presence: here, joining, leaving', async (t) => {
  const clients = new Clients(t, node);
  const first = await subscribed(await clients.connect({ member: ANN }), 'presence-room');
  assert.equal(first.success.count, 1);
  assert.deepEqual(first.success.me, { id: 'ann', info: { name: 'Ann' } });
  const [added, removed] = ['pusher:member_added', 'pusher:member_removed'].map((name) => inbox(first.channel, name));

  const bob = await clients.connect({ member: BOB });
  const second = await subscribed(bob, 'presence-room');
  assert.deepEqual(second.success.members, { ann: { name: 'Ann' }, bob: { name: 'Bob' } });
  assert.equal(second.success.count, 2);
  assert.deepEqual(await added.take(), { id: 'bob', info: { name: 'Bob' } });

  const twin = await clients.connect({ member: BOB });
  assert.equal((await subscribed(twin, 'presence-room')).success.count, 2);
  bob.disconnect();
  const carol = await clients.connect({ member: { user_id: 7 } });
  await subscribed(carol, 'presence-room');
  // The next thing that Ann hears is Carol: a second Bob came and went without a word.
  assert.deepEqual(await added.take(), { id: '7', info: {} });
  twin.unsubscribe('presence-room');
  assert.deepEqual(await removed.take(), { id: 'bob', info: { name: 'Bob' } });
  assert.equal(removed.size, 0);
  assert.equal(first.channel.members.count, 2);
});

test('client events reach the others, not the sender', async (t) => {
  const clients = new Clients(t, node);
  const [ann, bob] = [await clients.connect(), await clients.connect()];
  const [annRoom, bobRoom] = [await subscribed(ann, 'private-talk'), await subscribed(bob, 'private-talk')];
  const [toAnn, toBob] = [inbox(annRoom.channel, 'client-typing'), inbox(bobRoom.channel, 'client-typing')];
  annRoom.channel.trigger('client-typing', { from: 'ann' });
  assert.deepEqual(await toBob.take(), { from: 'ann' });
  bobRoom.channel.trigger('client-typing', { from: 'bob' });
  assert.deepEqual(await toAnn.take(), { from: 'bob' });
  annRoom.channel.trigger('client-typing', { from: 'ann', again: true });
  assert.deepEqual(await toBob.take(), { from: 'ann', again: true });
});

test('client events on a presence channel say who sent them', async (t) => {
  const clients = new Clients(t, node);
  const ann = await subscribed(await clients.connect({ member: ANN }), 'presence-talk');
  const bob = await subscribed(await clients.connect({ member: BOB }), 'presence-talk');
  const heard = next(bob.channel, 'client-typing');
  ann.channel.trigger('client-typing', { n: 1 });
  assert.deepEqual(await heard, { data: { n: 1 }, metadata: { user_id: 'ann' } });
});

test('the eleventh client event of a second is refused with 4301, the connection stays', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect();
  const { channel } = await subscribed(client, 'private-flood');
  const errors = inbox(client.connection, 'error');
  for (let n = 0; n < 30; n += 1) channel.trigger('client-n', n);
  const { data } = await errors.take();
  assert.equal(data.code, 4301);
  assert.equal(client.connection.state, 'connected');
});

test('a cache channel says that it is empty, then brings the last event', async (t) => {
  const clients = new Clients(t, node);
  for (const name of ['cache-news', 'private-cache-news']) {
    const early = (await clients.connect()).subscribe(name);
    await next(early, 'pusher:cache_miss');
    const seen = inbox(early, 'headline');
    await backend.trigger(name, 'headline', { n: 1 });
    await backend.trigger(name, 'headline', { n: 2 });
    assert.deepEqual([await seen.take(), await seen.take()], [{ n: 1 }, { n: 2 }]);
    const late = (await clients.connect()).subscribe(name);
    assert.deepEqual(await next(late, 'headline'), { n: 2 });
  }
});

test('a presence cache channel brings members first, then the event', async (t) => {
  const clients = new Clients(t, node);
  await backend.trigger('presence-cache-news', 'headline', { n: 1 });
  const channel = (await clients.connect({ member: ANN })).subscribe('presence-cache-news');
  const order = [];
  channel.bind('pusher:subscription_succeeded', () => order.push('members'));
  const headline = next(channel, 'headline');
  channel.bind('headline', () => order.push('headline'));
  assert.deepEqual(await headline, { n: 1 });
  assert.deepEqual(order, ['members', 'headline']);
});

test('subscription counts come when the application wants them', async (t) => {
  const clients = new Clients(t, node);
  const first = (await clients.connect({ app: COUNTED_APP })).subscribe('counted');
  const counts = inbox(first, 'pusher:subscription_count');
  assert.deepEqual(await counts.take(), { subscription_count: 1 });
  const second = await clients.connect({ app: COUNTED_APP });
  await subscribed(second, 'counted');
  assert.deepEqual(await counts.take(), { subscription_count: 2 });
  second.disconnect();
  assert.deepEqual(await counts.take(), { subscription_count: 1 });
});

test('a thousand events of 1 kB arrive complete and in order', async (t) => {
  const clients = new Clients(t, node);
  const { channel } = await subscribed(await clients.connect(), 'many');
  const events = inbox(channel, 'n');
  const filler = 'x'.repeat(1000);
  for (let first = 0; first < 1000; first += 10) {
    const batch = Array.from({ length: 10 }, (_, n) => ({ channel: 'many', name: 'n', data: { n: first + n, filler } }));
    await backend.triggerBatch(batch);
  }
  for (let n = 0; n < 1000; n += 1) assert.deepEqual(await events.take(), { n, filler });
});
