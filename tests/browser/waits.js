// A page that was opened while the store was away shows itself when it is back.
'use strict';
const { assert, story, turn, until } = require('./browser.js');

story(async (browser) => {
  const page = await browser.window();
  await page.clock.install();
  browser.away = true;
  const answer = await browser.open(page, '/host/web01?span=7d');
  assert.equal(answer.status(), 503);
  assert.match(await page.textContent('h1'), /The store does not answer/);
  await browser.accessible(page, 'the store is away');
  await browser.picture(page, 'store-away');
  await page.evaluate(() => (window.same = true));
  await page.clock.runFor(16000);
  assert.ok(await page.evaluate(() => window.same), 'nothing is loaded anew while there is nothing to show');
  // The test brings the store back now.
  await turn();
  await until('the page is there', async () => {
    await page.clock.runFor(6000);
    return (await page.locator('#charts[data-ready]').count()) === 1;
  });
  assert.match(page.url(), /\/host\/web01\?span=7d$/);
});
