// Headless Chromium with the operator's page: figures, channels, the tap, an event sent by hand, and the demo's two clients.
// Screenshots are left in the folder that SCREENSHOTS names, where it does.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

import { backendOf } from './support/backend.mjs';
import { Clients, subscribed } from './support/client.mjs';
import { APP, COUNTED_APP, RunningNode, freePort } from './support/node.mjs';
import { DEADLINE_MS, eventually } from './support/wait.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const TOKEN = 'token-of-the-operator';
const WIDE = { width: 1100, height: 900 };
const PHONE = { width: 390, height: 800 };

let node;
let admin;
let backend;
let browser;
before(async () => {
  const port = await freePort();
  admin = `http://127.0.0.1:${port}`;
  const shown = { ...APP, 'tap-payloads': true };
  node = await RunningNode.start({ 'admin-port': port, 'admin-token': TOKEN, applications: [shown, COUNTED_APP] });
  backend = backendOf(node);
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

/** Opens the page, gives the token by keyboard, and goes to a view. Nothing else than the node may be asked. */
async function open(t, view, options = {}) {
  const context = await browser.newContext({ viewport: WIDE, ...options });
  t.after(() => context.close());
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const complaints = [];
  const asked = new Set();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // the first questions go without a token, and one event is wrong
    if (message.type() === 'error' && !/status of 40[01] /.test(message.text())) complaints.push(message.text());
  });
  page.on('request', (request) => asked.add(new URL(request.url()).origin));
  t.after(() => {
    assert.deepEqual(complaints, []);
    asked.delete('null');
    assert.deepEqual([...asked], [admin]);
  });
  await page.goto(`${admin}/#${view}`);
  await page.waitForSelector('#token:focus');
  await page.keyboard.type(TOKEN);
  await page.keyboard.press('Enter');
  await page.waitForSelector(`#${view}:not([hidden])`);
  return page;
}

/** Leaves a picture of the whole page, and sees that nothing sticks out of it. */
async function picture(page, name) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `${name}: ${content} px of content in ${width} px`);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
}

const sees = (page, selector, text) => page.locator(selector, { hasText: text }).first().waitFor();

test('the overview shows live figures, applications, actors and queues', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect();
  await subscribed(client, 'figures');
  const page = await open(t, 'overview');
  const figure = (title) => page.locator('#plots figure', { hasText: title }).locator('output');
  const shows = (title, text) => eventually(`${title} ${text}`, async () => (await figure(title).innerText()) === text);
  await shows('Connections', '1');
  await sees(page, '#state', 'serving');
  await sees(page, '#apps tr', 'testapp');
  await sees(page, '#actors', 'session');
  const sending = setInterval(() => backend.trigger('figures', 'event', 'x').catch(() => {}), 100);
  t.after(() => clearInterval(sending));
  await eventually('events a second', async () => Number(await figure('Events published').innerText()) > 1);
  await eventually('messages a second', async () => Number(await figure('Messages sent').innerText()) > 1);
  clearInterval(sending);
  await clients.connect();
  await shows('Connections', '2');
  await figure('Queue of events').waitFor();
  await figure('Loop lag').waitFor();
  await picture(page, 'overview-light');
});

test('channels are listed with their counts, and who is in them', async (t) => {
  const clients = new Clients(t, node);
  for (const id of ['ann', 'bob']) {
    const client = await clients.connect({ member: { user_id: id } });
    await subscribed(client, 'presence-console');
  }
  const page = await open(t, 'channels');
  await page.fill('#channels-prefix', 'presence-');
  await page.keyboard.press('Enter');
  const row = page.locator('#channels-list tr', { hasText: 'presence-console' });
  assert.deepEqual(await row.locator('td').allInnerTexts(), ['presence-console', '2', '2']);
  await row.locator('button').focus();
  await page.keyboard.press('Enter');
  await sees(page, '#members-list', 'ann, bob');
  await picture(page, 'channels');
});

test('the tap shows what passes, and only what is asked for', async (t) => {
  const page = await open(t, 'tap');
  await page.fill('#tap-channel', 'seen-*');
  await page.selectOption('#tap-type', 'event');
  await page.click('#tap-button');
  await sees(page, '#tap-state', 'Looking on.');
  await backend.trigger('unseen', 'event', 'of another channel');
  await backend.trigger('seen-a', 'shown', { hello: '<b>world</b>' });
  const line = page.locator('#sightings li');
  await line.waitFor();
  assert.equal(await line.count(), 1);
  const text = await line.innerText();
  for (const part of ['event', 'seen-a', 'shown', '{"hello":"<b>world</b>"}']) assert.ok(text.includes(part), text);
  await page.click('#tap-button');
  await sees(page, '#tap-state', 'Not looking on.');

  await page.fill('#tap-channel', '');
  await page.selectOption('#tap-type', '');
  await page.selectOption('#tap-app', COUNTED_APP.id);
  await page.click('#tap-button');
  await sees(page, '#tap-state', 'Looking on.');
  const clients = new Clients(t, node);
  const client = await clients.connect({ app: COUNTED_APP });
  await sees(page, '#sightings li.connection', client.connection.socket_id);
  await subscribed(client, 'hidden');
  await sees(page, '#sightings li.subscription', 'hidden');
  await backendOf(node, COUNTED_APP).trigger('hidden', 'event', 'not to be shown');
  await sees(page, '#sightings li.delivery', 'subscribers: 1');
  client.subscribe('no such channel');
  await sees(page, '#sightings li.error', 'no such channel');
  client.disconnect();
  await sees(page, '#sightings li.disconnection', '1000');
  assert.ok(!(await page.locator('#sightings').innerText()).includes('not to be shown'));
  await picture(page, 'tap');
});

test('an event is sent by hand, and a wrong one is refused in words', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect();
  const { channel } = await subscribed(client, 'by-hand');
  const heard = new Promise((resolve) => channel.bind('greeting', resolve));
  const page = await open(t, 'send');
  await page.fill('#send-channel', 'by-hand');
  await page.fill('#send-event', 'greeting');
  await page.fill('#send-data', '{"to":"all"}');
  await page.click('#send-form button');
  await sees(page, '#send-state', 'Sent greeting to by-hand');
  assert.deepEqual(await heard, { to: 'all' });
  await sees(page, '#command', `trigger -c FILE by-hand greeting '{"to":"all"}'`);
  await page.fill('#send-channel', 'no such channel');
  await page.click('#send-form button');
  await sees(page, '#send-state', 'Refused: ');
  await picture(page, 'send');
});

for (const [name, options] of [['wide-light', {}], ['phone-dark', { viewport: PHONE, colorScheme: 'dark', hasTouch: true }]]) {
  test(`two clients hear what is sent to both: ${name}`, async (t) => {
    const page = await open(t, 'demo', options);
    await page.fill('#key', APP.key);
    await page.fill('#demo-channel', `demo-${name}`);
    await page.click('#subscribe');
    for (const who of ['ann', 'bob']) await sees(page, `#${who}-state`, `subscribed to demo-${name}`);
    await page.fill('#demo-message', 'Hello <i>both</i> 🎈');
    await page.click('#demo-send button');
    for (const who of ['ann', 'bob']) await sees(page, `#${who}-events li`, '{"text":"Hello <i>both</i> 🎈"}');
    await picture(page, `demo-${name}`);
    if (options.viewport) {
      for (const view of ['overview', 'channels', 'tap', 'send']) {
        await page.click(`nav a[href="#${view}"]`);
        await page.waitForSelector(`#${view}:not([hidden])`);
        await picture(page, `${view}-${name}`);
      }
    }
  });
}

test('every view is reached by keyboard', async (t) => {
  const page = await open(t, 'overview');
  for (const view of ['channels', 'tap', 'send', 'demo', 'overview']) {
    await page.focus(`nav a[href="#${view}"]`);
    await page.keyboard.press('Enter');
    await page.waitForSelector(`#${view}:not([hidden])`);
    assert.equal(await page.locator('.view:visible').count(), 1);
    assert.equal(await page.locator('nav a[aria-current]').innerText(), await page.locator(`nav a[href="#${view}"]`).innerText());
  }
});

test('another site can neither read nor send', async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${node.url}/up`);
  const published = async () => {
    const answer = await fetch(`${admin}/metrics`, { headers: { Authorization: `Bearer ${TOKEN}` } });
    return /^micronotifier_events_published_total\{app_id="1"\} (\d+)$/m.exec(await answer.text())[1];
  };
  const before = await published();
  const outcomes = await page.evaluate(async ([target, token]) => {
    const attempt = (path, options) => fetch(`${target}${path}`, options).then((answer) => answer.type === 'opaque' ? 'unread' : 'read', () => 'refused');
    return Promise.all([
      attempt('/apps'),
      attempt('/tap'),
      attempt('/apps', { headers: { Authorization: `Bearer ${token}` } }),
      attempt('/events?app=1', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }),
      attempt('/events?app=1', { method: 'POST', mode: 'no-cors', body: '{"name":"e","channel":"c","data":"x"}' }),
    ]);
  }, [admin, TOKEN]);
  assert.ok(!outcomes.includes('read'), outcomes.join(' '));
  assert.equal(await published(), before);
});

test('the page brings pusher-js as it is published', async () => {
  for (const file of ['pusher.min.js', 'pusher.min.js.LICENSE.txt']) {
    const published = await readFile(new URL(`node_modules/pusher-js/dist/web/${file}`, import.meta.url), 'utf8');
    assert.equal(await (await fetch(`${admin}/${file}`)).text(), published, file);
  }
});
