// Check 96: server SDKs that do not run here. Their requests are sent as they write them (protocol section 6.9):
// the order and encoding of the query, the headers, the shape of the body.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { APP, RunningNode } from './support/node.mjs';
import { RawSocket, hmac, md5, request } from './support/raw.mjs';

const EVENTS = `/apps/${APP.id}/events`;
const CHANNELS = `/apps/${APP.id}/channels`;
const PAYLOAD = '{"message":"<hello> & wörld/1"}';

let node;
before(async () => { node = await RunningNode.start(); });
after(() => node?.stop());

/** Returns all query parameters of a request, `auth_signature` last. Signed: sorted names, bare values. */
function signed(method, path, own, body) {
  const params = { auth_key: APP.key, auth_timestamp: String(Math.floor(Date.now() / 1000)), auth_version: '1.0', ...own };
  if (body !== undefined) params.body_md5 = md5(body);
  const canonical = Object.keys(params).sort().map((name) => `${name}=${params[name]}`).join('&');
  return { ...params, auth_signature: hmac(APP.secret, `${method}\n${path}\n${canonical}`) };
}

const bare = (params, names = Object.keys(params)) => names.map((name) => `${name}=${params[name]}`).join('&');
const encoded = (params, names = Object.keys(params)) => names.map((name) => `${name}=${encodeURIComponent(params[name])}`).join('&');

/** Returns a socket that is subscribed to the public channel `name`. */
async function subscriber(t, name) {
  const socket = await RawSocket.open(node, APP.key, 'protocol=7');
  t.after(() => socket.close());
  await socket.established();
  socket.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel: name } }));
  assert.equal((await socket.frame()).event, 'pusher_internal:subscription_succeeded');
  return socket;
}

/** Every SDK of the table takes 200 with a JSON object; PHP and Rust take nothing else. */
function assertObject(answer, expected) {
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.deepEqual(JSON.parse(answer.text), expected);
}

const SDKS = [
  {
    // One channel goes as `channel`; slashes and non-ASCII text are escaped; the query is encoded, the signature appended.
    name: 'php 7.2.6',
    typedGet: true,
    headers: { 'Content-Type': 'application/json', 'X-Pusher-Library': 'pusher-http-php 7.2.6' },
    body: (channel) => `{"name":"my-event","data":"${PAYLOAD.replaceAll('"', '\\"').replaceAll('/', '\\/').replaceAll('ö', '\\u00f6')}","channel":"${channel}"}`,
    query: (params) => encoded(params, [...Object.keys(params).filter((name) => name !== 'auth_signature').sort(), 'auth_signature']),
  },
  {
    // Its own parameters and body_md5 come first, then what the signature library merges in.
    name: 'ruby 2.0.3',
    headers: { 'Content-Type': 'application/json', 'X-Pusher-Library': 'pusher-http-ruby 2.0.3' },
    body: (channel) => JSON.stringify({ name: 'my-event', channels: [channel], data: PAYLOAD }),
    query: (params) => encoded(params, [
      ...Object.keys(params).filter((name) => !name.startsWith('auth_')),
      'auth_version', 'auth_key', 'auth_timestamp', 'auth_signature',
    ]),
  },
  {
    // All names sorted, the signature among them; values stay bare; encoding/json escapes <, > and &; Content-Type on GET too.
    name: 'go 5.1.1',
    typedGet: true,
    headers: { 'Content-Type': 'application/json', 'X-Pusher-Library': 'pusher-http-go 5.1.1', 'Accept-Encoding': 'gzip', 'User-Agent': 'Go-http-client/1.1' },
    body: (channel) => JSON.stringify({ name: 'my-event', channels: [channel], data: PAYLOAD })
      .replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026'),
    query: (params) => bare(params, Object.keys(params).sort()),
  },
  {
    // Gson: channels first, HTML characters escaped; values percent-encoded.
    name: 'java 1.3.4',
    headers: { 'Content-Type': 'application/json', 'X-Pusher-Library': 'pusher-http-java 1.3.4' },
    body: (channel) => JSON.stringify({ channels: [channel], name: 'my-event', data: PAYLOAD })
      .replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026'),
    query: (params) => encoded(params),
  },
  {
    // The signature comes first; the content type names a charset.
    name: '.NET 5.0.0',
    headers: { 'Content-Type': 'application/json; charset=utf-8', 'Pusher-Library-Name': 'pusher-http-dotnet', 'Pusher-Library-Version': '5.0.0' },
    body: (channel) => JSON.stringify({ name: 'my-event', data: PAYLOAD, channels: [channel] }),
    query: (params) => bare(params, ['auth_signature', ...Object.keys(params).filter((name) => name !== 'auth_signature').sort()]),
  },
  {
    // Absent is written as null; its own parameters follow the others, unsorted.
    name: 'rust crate pusher',
    headers: { 'Content-Type': 'application/json' },
    body: (channel) => JSON.stringify({ name: 'my-event', channels: [channel], data: PAYLOAD, socket_id: null }),
    query: (params) => bare(params),
  },
];

for (const [index, sdk] of SDKS.entries()) {
  test(`check 96: ${sdk.name} publishes`, async (t) => {
    const channel = `replay-${index}`;
    const socket = await subscriber(t, channel);
    const body = sdk.body(channel);
    const path = `${EVENTS}?${sdk.query(signed('POST', EVENTS, {}, body))}`;
    assertObject(await request(node, { method: 'POST', path, headers: sdk.headers, body }), {});
    assert.deepEqual(await socket.frame(), { event: 'my-event', channel, data: PAYLOAD });
  });

  test(`check 96: ${sdk.name} asks`, async (t) => {
    const channel = `asked-${index}`;
    await subscriber(t, channel);
    const { 'Content-Type': _, ...others } = sdk.headers;
    const headers = sdk.typedGet ? sdk.headers : others;
    const ask = (path, own) => request(node, { method: 'GET', path: `${path}?${sdk.query(signed('GET', path, own))}`, headers });
    // A comma in a value, bare or encoded; words of `info` that nobody knows are left out of the answer.
    assertObject(await ask(`${CHANNELS}/${channel}`, { info: 'unknown,words' }), { occupied: true });
    assertObject(await ask(CHANNELS, { filter_by_prefix: channel }), { channels: { [channel]: {} } });
  });
}

test('check 96: .NET reads an error as JSON', async () => {
  const body = JSON.stringify({ name: 'my-event', data: PAYLOAD, channels: ['refused'] });
  const params = { ...signed('POST', EVENTS, {}, body), auth_signature: '0'.repeat(64) };
  const answer = await request(node, { method: 'POST', path: `${EVENTS}?${bare(params)}`, headers: SDKS[4].headers, body });
  assert.equal(answer.status, 401);
  assert.equal(JSON.parse(answer.text).code, 401);
});

test('python 3.3.4 asks with the MD5 of nothing', async () => {
  const params = signed('GET', CHANNELS, { body_md5: md5(''), filter_by_prefix: 'no-such' });
  const path = `${CHANNELS}?${bare(params, Object.keys(params).sort())}`;
  assertObject(await request(node, { method: 'GET', path, headers: { 'X-Pusher-Library': 'pusher-http-python 3.3.4' } }), { channels: {} });
});

test('python 3.3.4 terminates without naming the application in the path', async () => {
  const path = '/users/nobody/terminate_connections';
  const params = signed('POST', path, {}, '{}');
  const headers = { 'Content-Type': 'application/json', 'X-Pusher-Library': 'pusher-http-python 3.3.4' };
  assertObject(await request(node, { method: 'POST', path: `${path}?${bare(params)}`, headers, body: '{}' }), {});
});
