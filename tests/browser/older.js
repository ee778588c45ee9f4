// Problems that ended, turned over: the page stays, and another filter begins with the newest again.
'use strict';
const { assert, story } = require('./browser.js');

story(async (browser) => {
  const page = await browser.window();
  await browser.open(page, '/incidents');
  await page.evaluate(() => (window.same = true));
  const ids = () => page.locator('#recent tbody th a').evaluateAll((links) => links.map((link) => Number(link.getAttribute('href').split('/').pop())));
  const first = await ids();
  assert.equal(first.length, 100);
  await browser.accessible(page, 'problems that ended');
  await page.click('#recent a[rel="next"]');
  await page.waitForURL(`**/incidents?before=${first.at(-1)}`);
  await page.waitForSelector('#recent-name:has-text("Earlier")');
  const second = await ids();
  assert.ok(second.length === 100 && second.every((id) => id < first.at(-1)), String(second));
  await browser.picture(page, 'incidents-older', true);
  await page.fill('#filter', 'web* level>=warning');
  await page.press('#filter', 'Enter');
  await page.waitForURL('**/incidents?filter=*');
  await page.waitForSelector('#recent-name:has-text("Lately")');
  assert.ok(!page.url().includes('before='), page.url());
  assert.deepEqual(await ids(), first);
  assert.ok(await page.evaluate(() => window.same), 'nothing was loaded anew');
});
