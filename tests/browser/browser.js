// A real Chromium for the dashboard's tests. What every page must keep is watched here, whatever a story does with it:
// no request leaves the server, no script fails, nothing breaks the Content-Security-Policy.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const modules = path.join(__dirname, '../../target/node/node_modules');
const { chromium } = require(path.join(modules, 'playwright-core'));
const axe = fs.readFileSync(path.join(modules, 'axe-core/axe.min.js'), 'utf8');
// Busy machines: what takes this long is broken.
const PATIENCE = 60000;
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

class Browser {
  static async start(url, pictures) {
    const browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
      timeout: PATIENCE,
    });
    fs.mkdirSync(pictures, { recursive: true });
    return Object.assign(new Browser(), { browser, url, pictures, faults: [], hosts: new Set(), away: false });
  }

  // A new window; `look` is what playwright calls context options.
  async window(look = {}) {
    const context = await this.browser.newContext({ viewport: WIDE, reducedMotion: 'reduce', timezoneId: 'UTC', locale: 'en-GB', ...look });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    page.on('request', (request) => this.hosts.add(new URL(request.url()).origin));
    page.weight = 0;
    const line = await context.newCDPSession(page);
    await line.send('Network.enable');
    line.on('Network.loadingFinished', ({ encodedDataLength }) => {
      page.weight += encodedDataLength;
    });
    page.on('pageerror', (error) => this.faults.push(`${page.url()}: ${error.stack}`));
    page.on('console', (message) => {
      const expected = /the server responded with a status of 4\d\d/.test(message.text()) || (this.away && /net::ERR_|status of 503/.test(message.text()));
      if (message.type() === 'error' && !expected) this.faults.push(`${page.url()}: ${message.text()}`);
    });
    page.on('dialog', (dialog) => {
      this.faults.push(`${page.url()}: a dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    return page;
  }

  async open(page, where) {
    const answer = await page.goto(this.url + where, { waitUntil: 'load' });
    if (await page.locator('#charts').count()) await page.waitForSelector('#charts[data-ready]', { state: 'attached' });
    return answer;
  }

  async picture(page, name, all = false) {
    await page.screenshot({ path: path.join(this.pictures, `${name}.png`), fullPage: all });
  }

  // Serious and critical faults; the rest is told, not failed.
  async accessible(page, what) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    const bad = found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    const words = bad.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.slice(0, 3).map((node) => `  ${node.html}\n  ${node.failureSummary}`).join('\n')}`);
    for (const { id, impact, nodes } of found.violations) if (!bad.some((one) => one.id === id)) console.log(`${what}: ${impact} ${id}: ${nodes[0].html}`);
    // All of them are told at the end: one look at a time would be many runs.
    this.faults.push(...words.map((text) => `${what}: ${page.url()}\n${text}`));
    assert.ok(found.testEngine.name === 'axe-core');
  }

  // No sideways scroll.
  async fits(page, what) {
    const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    if (content > screen) this.faults.push(`${what}: ${content} px wide on a screen of ${screen}`);
  }

  async end() {
    await this.browser.close();
    assert.ok(this.faults.length === 0, this.faults.join('\n'));
    assert.deepEqual([...this.hosts], [this.url], 'every request goes to the server');
  }
}

// Gives the turn to the test, until it says a line.
async function turn() {
  console.log('READY');
  const input = readline.createInterface(process.stdin);
  await new Promise((done) => input.once('line', done));
  input.close();
}

// Asks until the answer is yes.
async function until(what, ask) {
  const start = Date.now();
  for (;;) {
    if (await ask()) return;
    assert.ok(Date.now() - start < PATIENCE, `after ${PATIENCE} ms still not: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

// `node story.js URL PICTURES MORE...`: runs a story; what it throws is told and ends with 1.
function story(tell) {
  const [url, pictures, ...more] = process.argv.slice(2);
  const failed = path.join(pictures, `failed-${path.basename(process.argv[1], '.js')}.png`);
  fs.rmSync(failed, { force: true });
  (async () => {
    const browser = await Browser.start(url, pictures);
    try {
      await tell(browser, ...more);
      await browser.end();
    } catch (error) {
      const pages = browser.browser.contexts().flatMap((context) => context.pages());
      await pages.at(-1)?.screenshot({ path: failed }).catch(() => {});
      console.error(browser.faults.join('\n'));
      await browser.browser.close();
      throw error;
    }
  })().catch((error) => {
    console.error(error.stack);
    process.exitCode = 1;
  });
}

module.exports = { assert, story, turn, until, WIDE, PHONE };
