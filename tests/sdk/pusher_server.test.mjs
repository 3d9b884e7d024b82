// npm pusher 5.3.4: triggers, questions, users.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { backendOf, getJson } from './support/backend.mjs';
import { Clients, inbox, next, subscribed } from './support/client.mjs';
import { APP, COUNTED_APP, RunningNode } from './support/node.mjs';

const ANN = { user_id: 'ann', user_info: {} };
const BOB = { user_id: 'bob', user_info: {} };

let node;
let backend;
before(async () => {
  node = await RunningNode.start();
  backend = backendOf(node);
});
after(() => node?.stop());

test('trigger answers 200 {} and reaches every channel named', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect();
  for (const name of ['one', 'two']) await subscribed(client, name);
  const events = inbox(client, 'App\\Events\\Shipped');
  const response = await backend.trigger(['one', 'two', 'nobody-there'], 'App\\Events\\Shipped', { n: 1 });
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), {});
  assert.deepEqual([await events.take(), await events.take()], [{ n: 1 }, { n: 1 }]);
});

test('trigger takes a hundred channels and counts them on request', async (t) => {
  const clients = new Clients(t, node);
  await subscribed(await clients.connect({ member: ANN }), 'presence-info');
  const names = Array.from({ length: 99 }, (_, n) => `many-${n}`);
  const response = await backend.trigger(['presence-info', ...names], 'event', 1, { info: 'user_count' });
  const { channels } = await response.json();
  assert.equal(Object.keys(channels).length, 100);
  assert.deepEqual(channels['presence-info'], { user_count: 1 });
  assert.deepEqual(channels['many-0'], {});
});

test('triggerBatch keeps the order and answers by index', async (t) => {
  const clients = new Clients(t, node);
  const { channel } = await subscribed(await clients.connect({ app: COUNTED_APP }), 'batch');
  const events = inbox(channel, 'event');
  const counted = backendOf(node, COUNTED_APP);
  const response = await counted.triggerBatch([
    { channel: 'batch', name: 'event', data: { n: 1 }, info: 'subscription_count' },
    { channel: 'batch', name: 'event', data: { n: 2 } },
  ]);
  assert.deepEqual(await response.json(), { batch: [{ subscription_count: 1 }, {}] });
  assert.deepEqual([await events.take(), await events.take()], [{ n: 1 }, { n: 2 }]);
});

test('channels lists what is occupied', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect({ member: ANN });
  for (const name of ['presence-list', 'list-open', 'private-list']) await subscribed(client, name);
  await subscribed(await clients.connect({ member: BOB }), 'presence-list');
  const { channels } = await getJson(backend, '/channels');
  for (const name of ['presence-list', 'list-open', 'private-list']) assert.deepEqual(channels[name], {});
  assert.deepEqual(
    await getJson(backend, '/channels', { filter_by_prefix: 'presence-list', info: 'user_count' }),
    { channels: { 'presence-list': { user_count: 2 } } },
  );
  assert.deepEqual(await getJson(backend, '/channels', { filter_by_prefix: 'no-such' }), { channels: {} });
});

test('one channel is described', async (t) => {
  const clients = new Clients(t, node);
  const counted = backendOf(node, COUNTED_APP);
  await subscribed(await clients.connect({ app: COUNTED_APP, member: ANN }), 'presence-one');
  await subscribed(await clients.connect({ app: COUNTED_APP }), 'open-one');
  assert.deepEqual(await getJson(counted, '/channels/presence-one', { info: 'user_count' }), { occupied: true, user_count: 1 });
  assert.deepEqual(await getJson(counted, '/channels/open-one', { info: 'subscription_count' }), { occupied: true, subscription_count: 1 });
  assert.deepEqual(await getJson(counted, '/channels/nobody-there'), { occupied: false });
});

test('a cached event is shown', async () => {
  await backend.trigger('cache-shown', 'event', { n: 1 });
  const { cache } = await getJson(backend, '/channels/cache-shown', { info: 'cache' });
  assert.equal(cache.data, '{"n":1}');
  assert.ok(cache.ttl > 0 && cache.ttl <= 1800);
});

test('the users of a presence channel are listed once each', async (t) => {
  const clients = new Clients(t, node);
  for (const member of [ANN, BOB, BOB]) await subscribed(await clients.connect({ member }), 'presence-users');
  const { users } = await getJson(backend, '/channels/presence-users/users');
  assert.deepEqual(users.map(({ id }) => id).sort(), ['ann', 'bob']);
});

test('questions that make no sense are refused by name', async () => {
  const refused = async (path, params) => {
    const error = await backend.get({ path, params }).then(() => assert.fail('accepted'), (reason) => reason);
    return { status: error.status, ...JSON.parse(error.body) };
  };
  assert.deepEqual(await refused('/channels/open/users'), {
    status: 400, code: 400, error: 'Users can only be retrieved for presence channels',
  });
  assert.deepEqual(await refused('/channels/open', { info: 'user_count' }), {
    status: 400, code: 400, error: 'Cannot retrieve the user count unless the channel is a presence channel',
  });
});

test('a wrong secret is refused with 401', async () => {
  const error = await backendOf(node, { ...APP, secret: 'wrong' }).trigger('open', 'event', 1).then(() => assert.fail('accepted'), (reason) => reason);
  assert.equal(error.status, 401);
  assert.match(JSON.parse(error.body).error, /^Invalid signature: you should have sent HmacSHA256Hex\("POST\\n\/apps\/1\/events\\n/);
});

test('data over the limit is refused with 413', async () => {
  const error = await backend.trigger('open', 'event', 'x'.repeat(10_241)).then(() => assert.fail('accepted'), (reason) => reason);
  assert.equal(error.status, 413);
  assert.match(JSON.parse(error.body).error, /^The data content of this event exceeds the allowed maximum \(10240 bytes\)/);
  assert.equal((await backend.trigger('open', 'event', 'x'.repeat(10_240))).status, 200);
});

test('sendToUser and terminateUserConnections answer 200 {} for unknown users', async () => {
  for (const response of [await backend.sendToUser('nobody', 'event', 1), await backend.terminateUserConnections('nobody')]) {
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), {});
  }
});

test('the application may be named by its name instead of its id', async (t) => {
  const clients = new Clients(t, node);
  const { channel } = await subscribed(await clients.connect(), 'by-name');
  const heard = next(channel, 'event');
  await backendOf(node, { ...APP, id: APP.name }).trigger('by-name', 'event', { n: 1 });
  assert.deepEqual(await heard, { n: 1 });
});
