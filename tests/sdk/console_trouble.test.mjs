// The operator's page when something is wrong: a node that hangs, goes, comes back, answers late or oddly, or is not ready, and names that are markup.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { backendOf } from './support/backend.mjs';
import { Clients, subscribed } from './support/client.mjs';
import { TOKEN, launch, nodeWithConsole, open, picture, sees } from './support/console.mjs';
import { APP, freePort } from './support/node.mjs';
import { eventually } from './support/wait.mjs';

/** What a browser says of a node that is away. */
const forgiven = /status of 40[01] |ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|Failed to fetch/;
const MARKUP = '<img src=x onerror="document.title=1">';

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** Starts a node that ends with the test. */
async function started(t, overrides) {
  const node = await nodeWithConsole(overrides);
  t.after(() => node.stop());
  return node;
}

test('a wrong token is refused in words, and one that no request can carry too', async (t) => {
  const node = await started(t);
  const page = await open(t, browser, node, 'overview', { forgiven });
  await page.evaluate(() => sessionStorage.clear());
  await page.reload();
  for (const [token, said] of [['wrong', "not the node's"], ['schlüssel', 'No token looks like this'], ['токен', 'No token looks like this']]) {
    await page.waitForSelector('#token:focus');
    await page.keyboard.type(token);
    await page.keyboard.press('Enter');
    await sees(page, '#token-state', said);
  }
  await picture(page, 'token');
  await page.keyboard.type(TOKEN);
  await page.keyboard.press('Enter');
  await sees(page, '#state-text', 'serving');
});

test('a node that hangs is not called serving, and figures say how old they are', async (t) => {
  const node = await started(t);
  const page = await open(t, browser, node, 'overview', { forgiven });
  await sees(page, '#state-text', 'serving');
  node.signal('SIGSTOP');
  await sees(page, '#state-text', /the node has not answered for 5 s; figures as of \d\d:\d\d:\d\d/);
  assert.equal(await page.locator('body.stale').count(), 1);
  await picture(page, 'hung');
  await page.click('nav a[href="#channels"]');
  await sees(page, '#channels-state.bad', 'has not answered for 5 s');
  await page.click('nav a[href="#send"]');
  await page.click('#send-form button');
  await sees(page, '#send-state.bad', 'has not answered for 5 s');
  node.signal('SIGCONT');
  await sees(page, '#state-text', 'serving');
  assert.equal(await page.locator('body.stale').count(), 0);
});

test('a node that went is missed, and looked on at again when it is back', async (t) => {
  const node = await started(t);
  const page = await open(t, browser, node, 'tap', { forgiven });
  await page.click('#tap-button');
  await sees(page, '#tap-state', 'Looking on.');
  await backendOf(node).trigger('before', 'event', 'x');
  await sees(page, '#sightings li.event', 'before');
  await node.kill('SIGKILL');
  await sees(page, '#tap-state.bad', 'Asking again in');
  await sees(page, '#state-text', 'the node cannot be reached; figures as of');
  await node.restart();
  await sees(page, '#tap-state.good', 'Looking on.');
  await sees(page, '#sightings li.note', 'cut off here');
  await backendOf(node).trigger('after', 'event', 'x');
  await sees(page, '#sightings li.event', 'after');
  await sees(page, '#sightings li.event', 'before');
  await sees(page, '#state-text', 'serving');
});

test('an answer that cannot be shown does not end the asking', async (t) => {
  const node = await started(t);
  const page = await open(t, browser, node, 'overview', { forgiven });
  await sees(page, '#state-text', 'serving');
  await page.route('**/actors', (route) => route.fulfill({ json: {} }));
  await sees(page, '#state-text', 'cannot be shown');
  assert.equal(await page.locator('body.stale').count(), 1);
  await page.unroute('**/actors');
  await sees(page, '#state-text', 'serving');
  assert.equal(await page.locator('body.stale').count(), 0);
});

test('mailboxes that are not measured leave no empty columns', async (t) => {
  const node = await started(t, { 'mailbox-metrics': false });
  const page = await open(t, browser, node, 'overview', { forgiven });
  await sees(page, '#not-measured', 'mailbox-metrics is false');
  assert.deepEqual(await page.locator('#overview th:visible', { hasText: /Wait|Highest|Took/ }).count(), 1, 'of queues');
  await sees(page, '#actors tr', 'session');
  assert.equal(await page.locator('#actors tr').first().locator('td:visible').count(), 2);
  await picture(page, 'unmeasured');
});

test('behind a proxy that ends TLS the page works, and the demo says why it does not', async (t) => {
  const node = await started(t);
  const page = await open(t, browser, node, 'send', { forgiven, from: 'https://console.example' });
  await page.click('#send-form button');
  await sees(page, '#send-state.good', 'Sent my-event');
  await page.click('nav a[href="#demo"]');
  await page.fill('#key', APP.key);
  await page.click('#subscribe');
  await sees(page, '#demo-state.bad', `a browser opens no ws://127.0.0.1:${node.port}`);
  assert.equal(await page.evaluate(() => Pusher.instances.length), 0);
});

test('members that are answered late are not shown over what was chosen since', async (t) => {
  const node = await started(t);
  const clients = new Clients(t, node);
  for (const channel of ['presence-slow', 'presence-soon']) {
    await subscribed(await clients.connect({ member: { user_id: `in-${channel}` } }), channel);
  }
  const page = await open(t, browser, node, 'channels', { forgiven });
  await page.fill('#channels-prefix', 'presence-s');
  await sees(page, '#channels-state', '2 occupied channels.');
  const held = [];
  await page.route(/members.*presence-slow/, (route) => held.push(route));
  const letGo = async () => {
    await eventually('a question that is held', () => held.length > 0);
    const answer = page.waitForResponse(/presence-slow/);
    await held.pop().continue();
    await (await answer).finished();
    // asked later, answered later: by now the page has taken what was held
    await page.evaluate(() => fetch('/health').then((health) => health.text()));
  };
  await page.click('#channels-list button:text("presence-slow")');
  await page.click('#channels-list button:text("presence-soon")');
  await sees(page, '#members-title', 'presence-soon');
  await letGo();
  assert.equal(await page.locator('#members-title').innerText(), 'Members of presence-soon');
  assert.deepEqual(await page.locator('#members-list li').allInnerTexts(), ['in-presence-soon']);
  await page.click('#channels-list button:text("presence-slow")');
  await page.click('#channels-form button');
  await eventually('no members', () => page.locator('#members').isHidden());
  await letGo();
  assert.ok(await page.locator('#members').isHidden());
});

test('a tap that is silent for too long is asked anew', async (t) => {
  const node = await started(t);
  const page = await open(t, browser, node, 'tap', { forgiven });
  await page.clock.install();
  await page.click('#tap-button');
  await sees(page, '#tap-state', 'Looking on.');
  node.signal('SIGSTOP');
  await page.clock.fastForward(46_000);
  await sees(page, '#tap-state.bad', 'nothing was heard of the node for 45 s');
  node.signal('SIGCONT');
  await page.clock.fastForward(2000);
  await sees(page, '#tap-state.good', 'Looking on.');
});

test('a new start with other applications is noticed, and what was chosen stays', async (t) => {
  const node = await started(t);
  const page = await open(t, browser, node, 'send', { forgiven });
  await page.selectOption('#send-app', '2');
  await node.kill('SIGKILL');
  await node.configure({ applications: [{ ...APP, id: '0', name: 'new', key: 'new-key' }, { ...APP, id: '2', name: 'kept', key: 'kept-key' }] });
  await node.restart();
  await sees(page, '#state-text', 'serving');
  await eventually('the new applications', async () => (await page.locator('#send-app option').allInnerTexts()).join() === 'new (0),kept (2)');
  assert.equal(await page.inputValue('#send-app'), '2');
});

test('names that are markup are shown as text', async (t) => {
  const node = await started(t);
  const clients = new Clients(t, node);
  const client = await clients.connect({ member: { user_id: MARKUP } });
  const page = await open(t, browser, node, 'tap', { forgiven });
  await page.click('#tap-button');
  await sees(page, '#tap-state', 'Looking on.');
  await subscribed(client, 'presence-markup');
  await backendOf(node).trigger('presence-markup', MARKUP, MARKUP);
  await sees(page, '#sightings li.event', MARKUP);
  await sees(page, '#sightings li.event code', MARKUP);
  await sees(page, '#sightings li.subscription', MARKUP);
  await page.click('nav a[href="#channels"]');
  await page.click('#channels-list button');
  await sees(page, '#members-list li', MARKUP);
  assert.equal(await page.locator('img').count(), 0);
  assert.equal(await page.title(), 'MicroNotifier');
});

test('a cluster that is not whole is said, and why the node is not ready', async (t) => {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'micronotifier-redis-'));
  const redis = spawn('redis-server', ['--port', port, '--save', '', '--dir', directory, '--bind', '127.0.0.1'], { stdio: 'ignore' });
  t.after(() => rm(directory, { recursive: true, force: true }));
  t.after(() => redis.kill('SIGKILL'));
  await new Promise((resolve, reject) => redis.once('spawn', resolve).once('error', reject));
  const node = await started(t, { redis: { address: `127.0.0.1:${port}` } });
  const page = await open(t, browser, node, 'overview', { forgiven });
  await sees(page, '#cluster-state', /^whole$/);
  await sees(page, '#cluster div', 'Gaps found');
  assert.ok(await page.locator('#reasons').isHidden());
  await eventually('the mailboxes of the bridge', async () => await page.locator('#plots-mailboxes figure', { hasText: 'bridge' }).count() === 1);
  await picture(page, 'cluster-whole');
  redis.kill('SIGKILL');
  await sees(page, '#cluster-state', 'not whole');
  await sees(page, '#state-text', 'not ready');
  await sees(page, '#reasons', /^Not ready: .+\.$/);
  await picture(page, 'cluster-broken');
});
