// Pages of other sites, in a real browser, against an operator's port on loopback without a token: where nothing else keeps them out.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { asOperator, launch, nodeWithConsole, open, sees } from './support/console.mjs';
import { eventually } from './support/wait.mjs';

let node;
let browser;
let site;
before(async () => {
  node = await nodeWithConsole({ 'admin-token': '' });
  browser = await launch('--host-resolver-rules=MAP evil.example 127.0.0.1');
  site = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>another site</title>'));
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  await browser?.close();
  site?.close();
  await node?.stop();
});

const metric = async (name) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await (await asOperator(node, '/metrics')).text())[1]);
const published = () => metric('micronotifier_events_published_total\\{app_id="1"\\}');

/** Opens a page of another site, under a name of its own. */
async function foreign(t) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`http://evil.example:${site.address().port}/`);
  return page;
}

/**
 * Has a page do something, and returns the status with which the operator's port answers: as it came from the
 * network, for a browser withholds from the page what it blocks.
 */
async function answered(page, path, act, target = node.admin) {
  const url = `${target}${path}`;
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  const requests = new Set();
  network.on('Network.requestWillBeSent', ({ requestId, request }) => { if (request.url === url) requests.add(requestId); });
  const statuses = new Map();
  network.on('Network.responseReceivedExtraInfo', ({ requestId, statusCode }) => statuses.set(requestId, statusCode));
  await page.evaluate(act, url);
  return eventually(`an answer for ${path}`, () => [...requests].map((id) => statuses.get(id)).find(Boolean));
}

test('without a token the page itself is served, and asks', async (t) => {
  const page = await open(t, browser, node, 'overview', { token: '' });
  await sees(page, '#state-text', 'serving');
});

const WAYS = {
  'fetch without asking': ['/tap', (url) => { fetch(url, { mode: 'no-cors' }).catch(() => {}); }],
  'fetch': ['/apps', (url) => { fetch(url).catch(() => {}); }],
  'an image': ['/metrics', (url) => { document.body.append(Object.assign(new Image(), { src: url })); }],
  'a script': ['/actors', (url) => { document.head.append(Object.assign(document.createElement('script'), { src: url })); }],
  'a frame': ['/ready', (url) => { document.body.append(Object.assign(document.createElement('iframe'), { src: url })); }],
  'an event source': ['/tap?app=1', (url) => { globalThis.source = new EventSource(url); }],
  'an event sent without asking': ['/events?app=1', (url) => {
    fetch(url, { method: 'POST', mode: 'no-cors', body: '{"name":"e","channel":"c","data":"x"}' }).catch(() => {});
  }],
  'a form': ['/events?app=1', (url) => {
    const form = Object.assign(document.createElement('form'), { action: url, method: 'post', enctype: 'text/plain' });
    form.append(Object.assign(document.createElement('input'), { name: '{"name":"e","channel":"c","data":"x', value: '"}' }));
    document.body.append(form);
    form.submit();
  }],
};
for (const [way, [path, act]] of Object.entries(WAYS)) {
  test(`another site is refused: ${way}`, async (t) => {
    const page = await foreign(t);
    const before = await published();
    assert.equal(await answered(page, path, act), 403);
    assert.equal(await metric('micronotifier_tap_onlookers'), 0);
    assert.equal(await published(), before);
  });
}

test('another site reads nothing, and may not ask to send JSON', async (t) => {
  const page = await foreign(t);
  const before = await published();
  const outcomes = await page.evaluate(async (target) => {
    const attempt = (path, options) => fetch(`${target}${path}`, options).then(async (answer) => (answer.type === 'opaque' ? 'unread' : answer.text()), () => 'refused');
    return Promise.all([
      attempt('/apps'),
      attempt('/tap', { mode: 'no-cors' }),
      attempt('/apps', { headers: { Authorization: 'Bearer guess' } }),
      attempt('/events?app=1', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"name":"e","channel":"c","data":"x"}' }),
    ]);
  }, node.admin);
  assert.deepEqual(outcomes.map((outcome) => ['refused', 'unread'].includes(outcome)), [true, true, true, true], outcomes.join(' '));
  assert.equal(await published(), before);
});

test('a site that leads its own name here is refused', async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const rebound = node.admin.replace('127.0.0.1', 'evil.example');
  for (const path of ['/', '/apps', '/tap', '/metrics']) {
    assert.equal((await page.goto(`${rebound}${path}`)).status(), 403, path);
  }
  // now the page is of the very origin it asks
  const before = await published();
  assert.equal(await answered(page, '/apps', (url) => { fetch(url).catch(() => {}); }, rebound), 403);
  assert.equal(await answered(page, '/events?app=1', (url) => {
    fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"name":"e","channel":"c","data":"x"}' }).catch(() => {});
  }, rebound), 403);
  assert.equal(await published(), before);
  assert.equal(await metric('micronotifier_tap_onlookers'), 0);
});
