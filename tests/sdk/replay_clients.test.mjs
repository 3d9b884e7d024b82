// Clients that do not run here: Java, .NET, Swift, and Pysher's habits. Their query strings (protocol section 1.1) and
// first frames (sections 0.3, 2.4, 3.2) are sent as they write them; the answers must be what they can parse.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { backendOf } from './support/backend.mjs';
import { APP, RunningNode } from './support/node.mjs';
import { RawSocket } from './support/raw.mjs';

const JAVA = 'client=java-client&protocol=5&version=2.4.4';
const DOTNET = 'protocol=5&client=pusher-dotnet-client&version=2.3.0.0';
const SWIFT = 'client=pusher-websocket-swift&version=10.1.5&protocol=7';
const PYSHER = 'client=Pysher&version=1.0.7&protocol=6';

let node;
let backend;
before(async () => {
  node = await RunningNode.start();
  backend = backendOf(node);
});
after(() => node?.stop());

async function open(t, query, key = APP.key) {
  const socket = await RawSocket.open(node, key, query);
  t.after(() => socket.close());
  return socket;
}

/** Sends an event of the client's own making. */
const send = (socket, event, data, more = {}) => socket.send(JSON.stringify({ event, ...more, data }));

for (const [client, query] of Object.entries({ java: JAVA, dotnet: DOTNET, swift: SWIFT, pysher: PYSHER })) {
  test(`${client}: the first frame holds text data, a socket id and a timeout`, async (t) => {
    const socket = await open(t, query);
    const frame = await socket.frame();
    assert.deepEqual(Object.keys(frame).sort(), ['data', 'event']);
    assert.equal(frame.event, 'pusher:connection_established');
    const { socket_id: id, activity_timeout: timeout } = JSON.parse(frame.data);
    assert.match(id, /^\d+\.\d+$/);
    assert.equal(timeout, 120);
  });

  test(`${client}: an unknown key is told in an error frame with object data, then in the close`, async (t) => {
    const socket = await open(t, query, 'nobody');
    const frame = await socket.frame();
    assert.deepEqual(Object.keys(frame).sort(), ['data', 'event']);
    assert.equal(frame.event, 'pusher:error');
    assert.equal(frame.data.code, 4001);
    assert.equal(typeof frame.data.message, 'string');
    assert.equal((await socket.closed).code, 4001);
  });
}

test('java: a public subscription without auth, a ping without data', async (t) => {
  const socket = await open(t, JAVA);
  await socket.established();
  socket.send('{"event":"pusher:subscribe","data":{"channel":"java"}}');
  assert.deepEqual(await socket.frame(), { event: 'pusher_internal:subscription_succeeded', channel: 'java', data: '{}' });
  socket.send('{"event": "pusher:ping"}');
  assert.deepEqual(await socket.frame(), { event: 'pusher:pong', data: '{}' });
});

test('java: presence members are read from ids and hash, client events carry text data', async (t) => {
  const [ann, bob] = [await open(t, JAVA), await open(t, JAVA)];
  for (const [socket, id] of [[ann, 'ann'], [bob, 'bob']]) {
    const { auth, channel_data: data } = backend.authorizeChannel(await socket.established(), 'presence-java', { user_id: id, user_info: { name: id } });
    send(socket, 'pusher:subscribe', { channel: 'presence-java', auth, channel_data: data });
    const { presence } = JSON.parse((await socket.frame()).data);
    assert.ok(presence.ids.includes(id));
    assert.deepEqual(presence.hash[id], { name: id });
    assert.equal(presence.count, presence.ids.length);
  }
  const added = await ann.frame();
  assert.equal(added.event, 'pusher_internal:member_added');
  assert.deepEqual(JSON.parse(added.data), { user_id: 'bob', user_info: { name: 'bob' } });
  send(ann, 'client-typing', '{"n":1}', { channel: 'presence-java' });
  assert.deepEqual(await bob.frame(), { event: 'client-typing', channel: 'presence-java', data: '{"n":1}', user_id: 'ann' });
});

test('java: a cache miss has data', async (t) => {
  const socket = await open(t, JAVA);
  await socket.established();
  send(socket, 'pusher:subscribe', { channel: 'cache-java' });
  assert.equal((await socket.frame()).event, 'pusher_internal:subscription_succeeded');
  assert.deepEqual(await socket.frame(), { event: 'pusher:cache_miss', channel: 'cache-java', data: '{}' });
});

test('dotnet: a refused subscription is told in its own event as well', async (t) => {
  const socket = await open(t, DOTNET);
  await socket.established();
  send(socket, 'pusher:subscribe', { channel: 'private-dotnet', auth: `${APP.key}:${'0'.repeat(64)}` });
  const frames = [await socket.frame(), await socket.frame(), await socket.frame()];
  const own = frames.find(({ event }) => event === 'pusher_internal:subscription_error');
  assert.equal(own.channel, 'private-dotnet');
  assert.match(own.data, /^Invalid signature: /);
  const error = frames.find(({ event }) => event === 'pusher:error');
  assert.deepEqual(error.data, { code: null, message: own.data });
});

test('other clients do not get the event of .NET', async (t) => {
  const socket = await open(t, SWIFT);
  await socket.established();
  send(socket, 'pusher:subscribe', { channel: 'private-swift', auth: `${APP.key}:${'0'.repeat(64)}` });
  send(socket, 'pusher:ping', {});
  const events = [(await socket.frame()).event, (await socket.frame()).event, (await socket.frame()).event];
  assert.deepEqual(events, ['pusher:subscription_error', 'pusher:error', 'pusher:pong']);
});

test('dotnet and swift: WebSocket pings are answered with their payload', async (t) => {
  for (const query of [DOTNET, SWIFT]) {
    const socket = await open(t, query);
    await socket.established();
    socket.ping('are you there');
    assert.equal(await socket.pongs.take(), 'are you there');
  }
});

test('dotnet: sign-in data comes as text inside text', async (t) => {
  const socket = await open(t, DOTNET);
  const { auth, user_data: data } = backend.authenticateUser(await socket.established(), { id: 'ann' });
  send(socket, 'pusher:signin', { auth, user_data: data });
  const frame = await socket.frame();
  assert.equal(frame.event, 'pusher:signin_success');
  assert.deepEqual(JSON.parse(frame.data), { user_data: data });
});

test('swift: data may be the object or its text', async (t) => {
  const socket = await open(t, SWIFT);
  const { auth } = backend.authorizeChannel(await socket.established(), 'private-swift');
  send(socket, 'pusher:subscribe', JSON.stringify({ channel: 'private-swift', auth }));
  assert.deepEqual(await socket.frame(), { event: 'pusher_internal:subscription_succeeded', channel: 'private-swift', data: '{}' });
});

test('swift: client events of others come with text data', async (t) => {
  const [sender, reader] = [await open(t, SWIFT), await open(t, SWIFT)];
  for (const socket of [sender, reader]) {
    const { auth } = backend.authorizeChannel(await socket.established(), 'private-swift-talk');
    send(socket, 'pusher:subscribe', { channel: 'private-swift-talk', auth });
    await socket.frame();
  }
  send(sender, 'client-typing', { n: [1, 2] }, { channel: 'private-swift-talk' });
  assert.deepEqual(await reader.frame(), { event: 'client-typing', channel: 'private-swift-talk', data: '{"n":[1,2]}' });
});

test('pysher: a ping sent on open is answered after the first frame', async (t) => {
  const socket = await open(t, PYSHER);
  socket.send('{"event": "pusher:ping", "data": ""}');
  await socket.established();
  assert.deepEqual(await socket.frame(), { event: 'pusher:pong', data: '{}' });
});

test('pysher: an error that closes nothing carries no code it would act on', async (t) => {
  const socket = await open(t, PYSHER);
  await socket.established();
  send(socket, 'pusher:subscribe', { channel: 'private-pysher', auth: `${APP.key}:${'0'.repeat(64)}` });
  send(socket, 'no-such-event', {});
  const errors = [];
  while (errors.length < 2) {
    const frame = await socket.frame();
    if (frame.event === 'pusher:error') errors.push(frame.data);
  }
  assert.deepEqual(errors.map(({ code }) => code), [null, null]);
});
