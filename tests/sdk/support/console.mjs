// The operator's page in headless Chromium, opened as an operator does. Screenshots are left in the folder that SCREENSHOTS names.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

import { APP, COUNTED_APP, RunningNode, freePort } from './node.mjs';
import { DEADLINE_MS } from './wait.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const TOKEN = 'token-of-the-operator';
export const WIDE = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 800 };
export const NARROW = { width: 320, height: 640 };

export function launch(...args) {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', ...args,
    ],
  });
}

/** Starts a node with an operator's port; `node.admin` is where it is. */
export async function nodeWithConsole(overrides = {}) {
  const port = await freePort();
  const shown = { ...APP, 'tap-payloads': true };
  const node = await RunningNode.start({ 'admin-port': port, 'admin-token': TOKEN, applications: [shown, COUNTED_APP], ...overrides });
  node.admin = `http://127.0.0.1:${port}`;
  return node;
}

/** Asks the operator's port, with the token. */
export const asOperator = (node, path) => fetch(`${node.admin}${path}`, { headers: { Authorization: `Bearer ${TOKEN}` } });

/** Stands before the node as a proxy that ends TLS does, for what a browser asks an origin. */
function passOn(context, from, node) {
  return context.route(`${from}/**`, async (route) => {
    const url = route.request().url().replace(from, node.admin);
    const headers = { ...await route.request().allHeaders(), host: new URL(from).host };
    await route.fulfill({ response: await route.fetch({ url, headers }) });
  });
}

/**
 * Opens the page, gives the token by keyboard, and goes to a view. Nothing else than the node may be asked,
 * and the page may complain of nothing but what `forgiven` matches. `from` is another origin at which the page is had.
 */
export async function open(t, browser, node, view, { forgiven = /status of 40[01] /, token = TOKEN, from = node.admin, ...options } = {}) {
  const context = await browser.newContext({ viewport: WIDE, ...options });
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const complaints = [];
  const asked = new Set();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !forgiven.test(message.text())) complaints.push(message.text());
  });
  page.on('request', (request) => asked.add(new URL(request.url()).origin));
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
    asked.delete('null');
    assert.deepEqual([...asked], [from]);
  });
  if (from !== node.admin) await passOn(context, from, node);
  await page.goto(`${from}/#${view}`);
  if (token) {
    await page.waitForSelector('#token:focus');
    await page.keyboard.type(token);
    await page.keyboard.press('Enter');
  }
  await page.waitForSelector(`#${view}:not([hidden])`);
  return page;
}

/** Returns what is wider than the page, or sticks out of it or of its card, also where that scrolls. */
const tooWide = () => {
  const wide = [];
  if (document.documentElement.scrollWidth > innerWidth) wide.push(`the page: ${document.documentElement.scrollWidth}`);
  for (const element of document.querySelectorAll('body *')) {
    const { left, right, width } = element.getBoundingClientRect();
    if (width > 0 && (right > innerWidth + 0.5 || left < -0.5)) wide.push(`${element.tagName} ${element.id} ${element.className} ${left} to ${right}`);
    const card = element.closest('.card')?.getBoundingClientRect();
    if (width > 0 && card && right > card.right + 0.5) wide.push(`${element.tagName} ${element.id} ${element.className} leaves its card`);
  }
  return wide;
};

/** Sees that nothing sticks out of the page, and leaves a picture of all of it. */
export async function picture(page, name) {
  assert.deepEqual(await page.evaluate(tooWide), [], name);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
}

export const sees = (page, selector, text) => page.locator(selector, { hasText: text }).first().waitFor();
