// Headless Chromium with the operator's page: figures, channels, the tap, an event sent by hand, and the demo's two clients.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { backendOf } from './support/backend.mjs';
import { Clients, subscribed } from './support/client.mjs';
import { NARROW, PHONE, launch, nodeWithConsole, open, picture, sees } from './support/console.mjs';
import { APP, COUNTED_APP } from './support/node.mjs';
import { eventually } from './support/wait.mjs';

/** As long as a name may be, without a place to break it. */
const LONG = 'x'.repeat(150);

let node;
let backend;
let browser;
before(async () => {
  node = await nodeWithConsole();
  backend = backendOf(node);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

const figure = (page, title) => page.locator('figure', { hasText: title });
const shownBy = async (page, title) => Number((await figure(page, title).locator('b').innerText()).replaceAll(',', ''));
const points = async (page, title) => ((await figure(page, title).locator('path.line').getAttribute('d')) ?? '').split('L').length;

/** Sends events to a channel until the test ends. */
function keepSending(t, channel) {
  const sending = setInterval(() => backend.trigger(channel, 'event', 'x').catch(() => {}), 50);
  t.after(() => clearInterval(sending));
}

test('the overview shows live figures, applications, actors and queues', async (t) => {
  const clients = new Clients(t, node);
  await subscribed(await clients.connect(), 'figures');
  const page = await open(t, browser, node, 'overview');
  await sees(page, '#state-text', `serving on ws://127.0.0.1:${node.port}`);
  await sees(page, '#about', 'version');
  await sees(page, '#cluster-state', 'This node stands alone');
  await eventually('one connection', async () => await shownBy(page, 'Connections') === 1);
  assert.equal(await page.locator('#apps tr').count(), 2);
  await sees(page, '#queues tr', 'events 0');
  keepSending(t, 'figures');
  await eventually('events a second', async () => await shownBy(page, 'Events per second') > 1);
  await eventually('messages out a second', async () => await shownBy(page, 'Messages out per second') > 1);
  await clients.connect();
  await eventually('two connections', async () => await shownBy(page, 'Connections') === 2);
  await eventually('a delay of sessions', async () => / ms$/.test(await page.locator('#actors tr', { hasText: 'courier' }).locator('td').last().innerText()));
  // what is read out again at each look is the state alone
  assert.equal(await page.locator('#overview output, .plots [aria-live], .plots [role=status]').count(), 0);
  await picture(page, 'overview-light');
});

test('mailboxes of every kind of actor and the loops are plotted', async (t) => {
  keepSending(t, 'plotted');
  const page = await open(t, browser, node, 'overview');
  await eventually('a lag that was measured', async () => await shownBy(page, 'Loop lag') > 0);
  for (const kind of ['session', 'channel', 'courier', 'registry', 'users']) {
    await eventually(`a line for ${kind}`, async () => await points(page, kind) > 1);
    assert.ok(await shownBy(page, kind) >= 0);
  }
  for (const title of ['Loop lag', 'Bytes waiting', 'Evictions per second', 'Clients refused per second', 'Work refused per second', 'Messages in per second']) {
    await eventually(`a line for ${title}`, async () => await points(page, title) > 1);
  }
  const label = await figure(page, 'Evictions').locator('svg').getAttribute('aria-label');
  assert.equal(label, 'Evictions per second: 0; highest in two minutes: 0');
});

test('channels are listed as typed, and who is in them', async (t) => {
  const clients = new Clients(t, node);
  for (const id of ['ann', 'bob', '<img src=x onerror=alert(1)>']) {
    const client = await clients.connect({ member: { user_id: id } });
    await subscribed(client, 'presence-console');
  }
  await subscribed(await clients.connect(), 'other');
  const page = await open(t, browser, node, 'channels');
  await sees(page, '#channels-list tr', 'other');
  await page.fill('#channels-prefix', 'presence-');
  await sees(page, '#channels-state', '1 occupied channel.');
  const row = page.locator('#channels-list tr');
  assert.deepEqual(await row.locator('td').allInnerTexts(), ['presence-console', '3', '3']);
  await row.locator('button').focus();
  await page.keyboard.press('Enter');
  await sees(page, '#members-state', '3 users.');
  assert.deepEqual(await page.locator('#members-list li').allInnerTexts(), ['<img src=x onerror=alert(1)>', 'ann', 'bob']);
  await picture(page, 'channels');
  await page.fill('#channels-prefix', 'none-');
  await sees(page, '#channels-state', 'No occupied channels.');
});

test('the tap shows what passes, and only what is asked for', async (t) => {
  const page = await open(t, browser, node, 'tap');
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

  // Enter in a field applies what it says
  await page.fill('#tap-channel', 'other-*');
  await page.press('#tap-channel', 'Enter');
  await sees(page, '#tap-state', 'Looking on.');
  await eventually('an empty list', async () => await line.count() === 0);
  await backend.trigger('seen-a', 'shown', 'x');
  await backend.trigger('other-a', 'shown', 'x');
  await sees(page, '#sightings li', 'other-a');
  assert.equal(await line.count(), 1);

  await page.click('#tap-pause');
  await backend.trigger('other-b', 'held', 'x');
  await sees(page, '#tap-count', '2 seen, 1 to show');
  assert.equal(await line.count(), 1);
  await page.click('#tap-pause');
  await sees(page, '#sightings li', 'other-b');
  await page.click('#tap-pause');
  await backend.trigger('other-c', 'held', 'x');
  await sees(page, '#tap-count', '3 seen, 1 to show');
  await page.click('#tap-stop');
  await sees(page, '#tap-state', 'Stopped.');
  await sees(page, '#sightings li', 'other-c');
  assert.equal(await page.locator('#tap-count').innerText(), '3 seen');
  assert.equal(await page.locator('#tap-button').evaluate((button) => button === document.activeElement), true);

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
  await sees(page, '#sightings li.delivery', '1 subscriber');
  client.subscribe('no such channel');
  await sees(page, '#sightings li.error', 'code 4');
  client.disconnect();
  await sees(page, '#sightings li.disconnection', 'code 1000');
  assert.ok(!(await page.locator('#sightings').innerText()).includes('not to be shown'));
  await picture(page, 'tap');
});

test('a flood at the tap leaves the page at hand, and the list short', async (t) => {
  const page = await open(t, browser, node, 'tap');
  await page.click('#tap-button');
  await sees(page, '#tap-state', 'Looking on.');
  for (let round = 0; round < 40; round += 1) {
    const batch = Array.from({ length: 10 }, (_, index) => ({ channel: 'flood', name: `event-${round}-${index}`, data: '{}' }));
    await backend.triggerBatch(batch);
  }
  // the newest is on top, whatever was left out
  await sees(page, '#sightings li:nth-child(-n+40)', 'event-39-9');
  await sees(page, '#tap-count', /^[\d,]+ seen/);
  await page.click('#tap-stop');
  await sees(page, '#tap-state', 'Stopped.');
  assert.ok(await page.locator('#sightings li').count() <= 200);
});

test('an event is sent by hand, and a wrong one is refused in words', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect();
  const { channel } = await subscribed(client, 'by-hand');
  const heard = new Promise((resolve) => channel.bind('greeting', resolve));
  const page = await open(t, browser, node, 'send');
  await page.fill('#send-channel', 'by-hand');
  await page.fill('#send-event', 'greeting');
  await page.fill('#send-data', '{"to":"all"}');
  await page.click('#send-form button');
  await sees(page, '#send-state.good', 'Sent greeting to by-hand');
  assert.deepEqual(await heard, { to: 'all' });
  await sees(page, '#command', `trigger -c FILE -- by-hand greeting '{"to":"all"}'`);
  await page.selectOption('#send-app', COUNTED_APP.id);
  await page.fill('#send-channel', 'no such channel');
  await page.fill('#send-data', '-5');
  await sees(page, '#command', `trigger -c FILE --app 2 -- 'no such channel' greeting -5`);
  await page.click('#send-form button');
  await sees(page, '#send-state.bad', 'Refused: ');
  await picture(page, 'send');
});

test('two clients hear what is sent to both, over the same connections', async (t) => {
  const page = await open(t, browser, node, 'demo');
  const seen = (text) => Promise.all(['ann', 'bob'].map((who) => sees(page, `#${who}-state`, text)));
  const instances = () => page.evaluate(() => Pusher.instances.length);
  await page.click('#demo-send button');
  await sees(page, '#demo-state.bad', 'subscribe first');

  await page.fill('#key', 'no-such-key');
  await page.click('#subscribe');
  await seen('4001');
  await seen('disconnected');
  await page.fill('#key', APP.key);
  for (let press = 0; press < 8; press += 1) {
    await page.fill('#demo-channel', `demo-${press}`);
    await page.click('#subscribe');
    await seen(`subscribed to demo-${press}`);
  }
  // two with the wrong key, two with the right one
  assert.equal(await instances(), 4);
  await page.fill('#demo-message', 'Hello <i>both</i> 🎈');
  await page.click('#demo-send button');
  for (const who of ['ann', 'bob']) {
    await sees(page, `#${who}-events li`, '{"text":"Hello <i>both</i> 🎈"}');
    assert.equal(await page.locator(`#${who}-events li`).count(), 1);
  }
  await picture(page, 'demo');

  for (const signed of ['private-a', 'presence-a', 'private-encrypted-a', '#server-to-user-a']) {
    await page.fill('#demo-channel', signed);
    await page.click('#subscribe');
    await sees(page, '#demo-state.bad', 'need a signature');
  }
  // a name that was refused once is asked for again
  for (const [channel, said] of [['no such channel', 'Invalid channel name'], ['good', 'subscribed to good'], ['no such channel', 'Invalid channel name'], ['no such channel', 'Invalid channel name']]) {
    await page.fill('#demo-channel', channel);
    await page.click('#subscribe');
    await seen(said);
  }
  await page.click('#disconnect');
  await seen('disconnected');
  await page.fill('#demo-channel', 'again');
  await page.click('#subscribe');
  await seen('subscribed to again');
  assert.equal(await instances(), 4);
});

test('every view is gone through by keyboard alone', async (t) => {
  const page = await open(t, browser, node, 'overview');
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.hash || document.activeElement.tagName);
  const tabTo = async (wanted) => {
    for (let press = 0; press < 40; press += 1) {
      if (await focused() === wanted) return;
      await page.keyboard.press('Tab');
    }
    throw new Error(`Tab does not come to ${wanted}`);
  };
  const goTo = async (view) => {
    await page.evaluate(() => document.activeElement.blur());
    await tabTo(`#${view}`);
    await page.keyboard.press('Enter');
    await page.waitForSelector(`#${view}:not([hidden])`);
    assert.equal(await page.locator('.view:visible').count(), 1);
    assert.equal(await page.locator('nav a[aria-current]').getAttribute('href'), `#${view}`);
  };
  const clients = new Clients(t, node);
  await subscribed(await clients.connect({ member: { user_id: 'zoe' } }), 'presence-keys');

  await goTo('channels');
  await tabTo('channels-prefix');
  await page.keyboard.type('presence-keys');
  await sees(page, '#channels-state', '1 occupied channel.');
  await tabTo('BUTTON');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await sees(page, '#members-list li', 'zoe');

  await goTo('tap');
  await tabTo('tap-channel');
  await page.keyboard.type('keys');
  await page.keyboard.press('Enter');
  await sees(page, '#tap-state', 'Looking on.');

  await goTo('send');
  await tabTo('send-channel');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('keys');
  await page.keyboard.press('Enter');
  await sees(page, '#send-state', 'Sent my-event to keys');

  await goTo('tap');
  await sees(page, '#sightings li.event', 'my-event');
  await tabTo('tap-stop');
  await page.keyboard.press('Space');
  await sees(page, '#tap-state', 'Stopped.');

  await goTo('demo');
  await tabTo('key');
  await page.keyboard.type(APP.key);
  await page.keyboard.press('Enter');
  await sees(page, '#bob-state', 'subscribed to my-channel');
  await tabTo('demo-message');
  await page.keyboard.press('Enter');
  await sees(page, '#bob-events li', 'Hello, both of you');
  await tabTo('disconnect');
  await page.keyboard.press('Enter');
  await sees(page, '#bob-state', 'disconnected');

  await goTo('overview');
  for (let press = 0; press < 40 && await focused() !== 'A'; press += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await sees(page, '#answer[open] pre', 'micronotifier_ready 1');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#answer', { state: 'hidden' });
});

test('what the footer names is shown with the token', async (t) => {
  const page = await open(t, browser, node, 'overview');
  for (const [path, text] of [['/metrics', 'micronotifier_ready 1'], ['/ready', '"status": "ready"'], ['/apps', '"name": "testapp"'], ['/actors', '"kind": "session"']]) {
    await page.click(`footer a[href="${path}"]`);
    await sees(page, '#answer-title', path);
    await sees(page, '#answer-text', text);
    await page.click('#answer button');
  }
});

for (const [name, options] of [['phone-dark', { viewport: PHONE, colorScheme: 'dark', hasTouch: true }], ['narrow-light', { viewport: NARROW, hasTouch: true }]]) {
  test(`nothing is wider than the page, whatever passes: ${name}`, async (t) => {
    const clients = new Clients(t, node);
    const client = await clients.connect({ member: { user_id: LONG.slice(0, 120) } });
    const page = await open(t, browser, node, 'tap', options);
    await page.click('#tap-button');
    await sees(page, '#tap-state', 'Looking on.');
    await subscribed(client, `presence-${LONG}`);
    await backend.trigger(`presence-${LONG}`, `event-${LONG}`, { data: LONG.repeat(5) });
    await sees(page, '#sightings li.event', LONG);
    client.subscribe(`bad ${LONG}`);
    await sees(page, '#sightings li.error', 'code');
    await picture(page, `tap-${name}`);

    const goTo = (view) => page.click(`nav a[href="#${view}"]`);
    await goTo('channels');
    await page.click('#channels-list button');
    await sees(page, '#members-list li', LONG.slice(0, 120));
    await picture(page, `channels-${name}`);

    await goTo('send');
    await page.fill('#send-channel', `send-${LONG}`);
    await page.fill('#send-data', JSON.stringify({ data: LONG.repeat(3) }));
    await page.click('#send-form button');
    await sees(page, '#send-state', 'Sent my-event');
    await picture(page, `send-${name}`);

    await goTo('demo');
    await page.fill('#key', APP.key);
    await page.fill('#demo-channel', `demo-${LONG}`);
    await page.click('#subscribe');
    for (const who of ['ann', 'bob']) await sees(page, `#${who}-state`, `subscribed to demo-${LONG}`);
    await page.fill('#demo-message', LONG);
    await page.click('#demo-send button');
    for (const who of ['ann', 'bob']) await sees(page, `#${who}-events li`, LONG);
    await picture(page, `demo-${name}`);

    await goTo('overview');
    await eventually('two looks', async () => await points(page, 'Messages in per second') > 1);
    await picture(page, `overview-${name}`);
    await page.click('footer a[href="/metrics"]');
    await sees(page, '#answer-text', 'micronotifier_ready 1');
    await picture(page, `metrics-${name}`);
  });
}

test('numbers that are longer than a narrow page is wide scroll in their card', async (t) => {
  const page = await open(t, browser, node, 'overview', { viewport: NARROW });
  await page.route('**/apps', async (route) => {
    const answer = await (await route.fetch()).json();
    for (const app of answer.applications) app.messages_sent = Number.MAX_SAFE_INTEGER;
    await route.fulfill({ json: answer });
  });
  await sees(page, '#apps td', '9,007,199,254,740,991');
  const [card, scrolls, sideways] = await page.evaluate(() => {
    const card = document.getElementById('apps').closest('.card');
    return [card.getBoundingClientRect().right, card.scrollWidth > card.clientWidth, document.documentElement.scrollWidth > innerWidth];
  });
  assert.ok(card <= NARROW.width);
  assert.deepEqual([scrolls, sideways], [true, false]);
});

test('the page brings pusher-js as it is published', async () => {
  for (const file of ['pusher.min.js', 'pusher.min.js.LICENSE.txt']) {
    const published = await readFile(new URL(`node_modules/pusher-js/dist/web/${file}`, import.meta.url), 'utf8');
    assert.equal(await (await fetch(`${node.admin}/${file}`)).text(), published, file);
  }
});
