// pusher-js 8.6.0 in Node.js: connecting, being refused, coming back, being sent away.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { backendOf, getJson } from './support/backend.mjs';
import { Clients, RECONNECT_MS, errorCode, inbox, next, state, subscribed } from './support/client.mjs';
import { RunningNode } from './support/node.mjs';
import { eventually } from './support/wait.mjs';

let node;
let backend;
before(async () => {
  node = await RunningNode.start();
  backend = backendOf(node);
});
after(() => node?.stop());

test('a client connects and learns its socket id', async (t) => {
  const clients = new Clients(t, node);
  const client = clients.start();
  const states = inbox(client.connection, 'state_change');
  await state(client, 'connected');
  assert.match(client.connection.socket_id, /^\d+\.\d+$/);
  assert.deepEqual((await states.take()).current, 'connected');
});

test('check 16: an unknown key ends in disconnected, with exactly one error of code 4001', async (t) => {
  const clients = new Clients(t, node);
  const client = clients.start({ key: 'nobody' });
  const errors = inbox(client.connection, 'error');
  await state(client, 'disconnected');
  assert.equal(errorCode(await errors.take()), 4001);
  // A whole other connection comes up meanwhile: a second error or another attempt would show by then.
  await clients.connect();
  assert.equal(errors.size, 0);
  assert.equal(client.connection.state, 'disconnected');
});

test('a ping of an idle client is answered', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect({ activityTimeout: 200 });
  const messages = inbox(client.connection, 'message');
  assert.equal((await messages.take()).event, 'pusher:pong');
  assert.equal(client.connection.state, 'connected');
});

test('a disconnect vacates the channel', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect();
  await subscribed(client, 'left-behind');
  assert.deepEqual(await getJson(backend, '/channels/left-behind'), { occupied: true });
  client.disconnect();
  await eventually('the channel to be vacated', async () => (await getJson(backend, '/channels/left-behind')).occupied === false);
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`after ${signal} and a new start the client is back with its channels`, async (t) => {
    const clients = new Clients(t, node);
    const client = await clients.connect({ member: { user_id: 'ann', user_info: { name: 'Ann' } } });
    const first = client.connection.socket_id;
    const open = await subscribed(client, `restart-${signal}`);
    const members = await subscribed(client, `presence-restart-${signal}`);
    const again = [open, members].map(({ channel }) => next(channel, 'pusher:subscription_succeeded', RECONNECT_MS));
    await node.kill(signal);
    await node.restart();
    await Promise.all(again);
    assert.equal(client.connection.state, 'connected');
    assert.notEqual(client.connection.socket_id, first);
    assert.equal(members.channel.members.count, 1);
    const heard = next(open.channel, 'again');
    await backend.trigger(`restart-${signal}`, 'again', { n: 1 });
    assert.deepEqual(await heard, { n: 1 });
  });
}

test('SIGTERM ends the node with exit code 0', async () => {
  assert.equal(await node.kill('SIGTERM'), 0);
  await node.restart();
});

test('terminateUserConnections sends a signed-in user away for good', async (t) => {
  const clients = new Clients(t, node);
  const leaving = await clients.connect({ user: { id: 'leaving' } });
  const staying = await clients.connect({ user: { id: 'staying' } });
  for (const client of [leaving, staying]) {
    client.signin();
    await client.user.signinDonePromise;
  }
  const errors = inbox(leaving.connection, 'error');
  await backend.terminateUserConnections('leaving');
  await state(leaving, 'disconnected');
  assert.equal(errorCode(await errors.take()), 4009);
  const heard = next(staying.user, 'still-there');
  await backend.sendToUser('staying', 'still-there', { n: 2 });
  assert.deepEqual(await heard, { n: 2 });
});
