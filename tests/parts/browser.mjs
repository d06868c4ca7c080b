// Runs a scenario in a real Chromium: JSON steps on stdin, one JSON result per step on stdout.
//
//   echo '[{"open":"http://app.localhost:8080/"},{"fill":{"[name=login]":"alice"}},{"click":"[type=submit]"}]' \
//     | node tests/parts/browser.mjs
//
// The first step may hold settings: {"javaScript":false,"phone":true,"ignoreTls":true,"locale":"de",
// "resolve":"MAP * 127.0.0.1","headers":{},"timeout":20000}. Every step may name its "tab" (else the last one is
// used) and "optional":true (a failure does not end the run). Steps:
//
//   open: url          openAll: [urls], all at once, in tabs "1", "2", ... or "tabs": [names]
//   reload: true       back: true       close: true      wait: milliseconds
//   fill: {selector: value}             click: selector  press: key      select: {selector: value}
//   waitUrl: regex     text: selector   eval: expression (its value is the result)
//   cookies: true      clearCookies: true or a name      screenshot: path, with dark, phone, fullPage
//   request: {method, url, json}, by this program and not by a page (its status and body are the result)
//
// A window that a page opens is the tab "popup".
//
// A result: {step, do, ok, tab, url, status, title, text, redirects, hops, console, ...}. status is that of the last
// main document; redirects, hops (their addresses) and console (errors, CSP violations) are those since the last step.
// Exit: 0 all well, 1 a step failed, 2 broken input or out of time. CHROMIUM names the browser.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const { chromium } = createRequire(new URL('../../.tools/node/', import.meta.url))('playwright-core');

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
let steps;
try { steps = JSON.parse(Buffer.concat(chunks).toString()); } catch (error) {
  console.error(`browser.mjs: the scenario is not JSON: ${error.message}`);
  process.exit(2);
}

const actions = ['open', 'openAll', 'reload', 'back', 'close', 'wait', 'fill', 'select', 'click', 'press', 'waitUrl', 'text',
  'eval', 'cookies', 'clearCookies', 'screenshot', 'request'];
const actionOf = (step) => actions.find((name) => name in step);
const settings = steps.length && !actionOf(steps[0]) ? steps.shift() : {};
const timeout = settings.timeout ?? 20_000;
const desk = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };

setTimeout(() => {
  console.error('browser.mjs: out of time');
  process.exit(2);
}, timeout * (steps.length + 2)).unref();

const browser = await chromium.launch({
  executablePath: resolve(process.env.CHROMIUM ?? '.tools/bin/chromium'),
  timeout,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
    ...(settings.resolve ? [`--host-resolver-rules=${settings.resolve}`] : [])],
});
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => browser.close().finally(() => process.exit(2)));
const context = await browser.newContext({
  javaScriptEnabled: settings.javaScript ?? true,
  ignoreHTTPSErrors: settings.ignoreTls ?? false,
  extraHTTPHeaders: settings.headers,
  locale: settings.locale ?? 'en-US',
  viewport: settings.phone ? phone : desk,
  isMobile: settings.phone ?? false,
  hasTouch: settings.phone ?? false,
});
context.setDefaultTimeout(timeout);

// ---- tabs ----

const tabs = new Map();
let current = 'main';

let ours = false;
context.on('page', (page) => { if (!ours) adopt('popup', page); });

async function tab(name) {
  current = name;
  if (name === 'popup' && !tabs.has(name)) {
    await context.waitForEvent('page');
  } else if (!tabs.has(name)) {
    ours = true;
    adopt(name, await context.newPage());
    ours = false;
  }
  return tabs.get(name);
}

function adopt(name, page) {
  const seen = { status: null, hops: [], console: [], moved: Date.now() };
  page.on('response', (response) => {
    const request = response.request();
    if (!request.isNavigationRequest() || request.frame() !== page.mainFrame()) return;
    seen.moved = Date.now();
    seen.status = response.status();
    if (seen.status >= 300 && seen.status < 400) seen.hops.push(response.url());
  });
  page.on('request', (request) => { if (request.isNavigationRequest()) seen.moved = Date.now(); });
  page.on('framenavigated', (frame) => { if (frame === page.mainFrame()) seen.moved = Date.now(); });
  page.on('console', (message) => { if (message.type() === 'error') seen.console.push(message.text()); });
  page.on('pageerror', (error) => seen.console.push(String(error)));
  tabs.set(name, { name, page, seen });
}

// Loaded, and nothing has moved the page for a moment: redirects by script or meta refresh are followed.
async function settle({ page, seen }) {
  const end = Date.now() + timeout;
  do {
    await page.waitForLoadState('load', { timeout: Math.max(1, end - Date.now()) });
    await page.waitForTimeout(100);
    if (Date.now() > end) throw new Error('the page does not settle');
  } while (Date.now() - seen.moved < 400);
}

async function go(tabbed, move, opens = true) {
  tabbed.seen.moved = Date.now();
  if (opens) tabbed.seen.status = null;
  await move().catch((error) => {
    if (!/interrupted by another navigation/.test(error.message)) throw error;
  });
  await settle(tabbed);
}

async function state({ name, page, seen }) {
  const result = {
    tab: name,
    url: page.url(),
    status: seen.status,
    title: await page.title().catch(() => null),
    text: await page.innerText('body', { timeout: 1000 }).catch(() => null),
    redirects: seen.hops.length,
    hops: seen.hops,
    console: seen.console,
  };
  seen.hops = [];
  seen.console = [];
  return result;
}

// ---- steps ----

const run = {
  open: (step, on) => go(on, () => on.page.goto(step.open)),
  reload: (step, on) => go(on, () => on.page.reload()),
  back: (step, on) => go(on, () => on.page.goBack()),
  wait: (step) => new Promise((done) => { setTimeout(done, step.wait); }),
  async openAll(step) {
    const names = step.tabs ?? step.openAll.map((_, i) => String(i + 1));
    const all = [];
    for (const name of names) all.push(await tab(name));
    await Promise.all(all.map((on, i) => go(on, () => on.page.goto(step.openAll[i]))));
    return { pages: await Promise.all(all.map(state)) };
  },
  async fill(step, { page }) {
    for (const [selector, value] of Object.entries(step.fill)) await page.locator(selector).first().fill(value);
  },
  async select(step, { page }) {
    for (const [selector, value] of Object.entries(step.select)) await page.locator(selector).first().selectOption(value);
  },
  click: (step, on) => go(on, () => on.page.locator(step.click).first().click(), false),
  press: (step, on) => go(on, () => on.page.keyboard.press(step.press), false),
  async waitUrl(step, on) {
    await on.page.waitForURL(new RegExp(step.waitUrl), { waitUntil: 'commit' });
    await settle(on);
  },
  async request({ request: { method, url, json } }) {
    const body = json && { body: JSON.stringify(json), headers: { 'Content-Type': 'application/json' } };
    const response = await fetch(url, { method, ...body });
    return { answered: response.status, body: await response.text() };
  },
  async text(step, { page }) { return { found: await page.locator(step.text).first().innerText() }; },
  async eval(step, { page }) { return { value: await page.evaluate(step.eval) }; },
  async cookies() { return { cookies: await context.cookies() }; },
  clearCookies: (step) => context.clearCookies(step.clearCookies === true ? {} : { name: step.clearCookies }),
  async screenshot(step, { page }) {
    await page.emulateMedia({ colorScheme: step.dark ? 'dark' : 'light' });
    await page.setViewportSize(step.phone || settings.phone ? phone : desk);
    await page.screenshot({ path: step.screenshot, fullPage: step.fullPage ?? false });
    return { overflows: await page.evaluate('document.documentElement.scrollWidth > innerWidth') };
  },
  async close(step, { name, page }) {
    await page.close();
    tabs.delete(name);
    current = [...tabs.keys()].at(-1) ?? 'main';
  },
};

function limit(promise) {
  let timer;
  const late = new Promise((_, failed) => { timer = setTimeout(() => failed(new Error('the step took too long')), timeout + 5000); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

let failed = false;
for (const [index, step] of steps.entries()) {
  const action = actionOf(step);
  const result = { step: index, do: action ?? null, ok: true };
  try {
    if (!action) throw new Error(`unknown step ${JSON.stringify(step)}`);
    const on = action === 'openAll' ? undefined : await tab(step.tab ?? current);
    const more = await limit(run[action](step, on));
    if (on && tabs.has(on.name)) Object.assign(result, await limit(state(on)));
    Object.assign(result, more);
  } catch (error) {
    Object.assign(result, { ok: false, error: error.message.split('\n')[0] });
    const on = tabs.get(step.tab ?? current);
    if (on) Object.assign(result, await limit(state(on)).catch(() => ({})));
    failed ||= !step.optional;
  }
  console.log(JSON.stringify(result));
  if (failed) break;
}
await Promise.race([browser.close(), new Promise((done) => { setTimeout(done, 5000); })]);
process.exit(failed ? 1 : 0);
