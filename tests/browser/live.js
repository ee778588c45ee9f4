// A page that stays open shows what happens, and keeps what somebody is doing.
'use strict';
const { assert, story, turn, until } = require('./browser.js');

story(async (browser) => {
  const page = await browser.window();
  await page.clock.install();
  await browser.open(page, '/');
  await page.fill('#filter', 'half typ');
  await page.evaluate(() => (window.same = true));
  assert.equal(await page.locator('a.c.k').count(), 0);
  // The test writes a problem into the store now.
  await turn();
  await until('the problem is seen', async () => {
    await page.clock.runFor(16000);
    return (await page.locator('a.c.k').count()) === 1;
  });
  assert.match(await page.title(), /^✕1 /);
  assert.match(await page.getAttribute('link[rel="icon"]', 'href'), /icon-critical/);
  assert.equal(await page.inputValue('#filter'), 'half typ');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'filter');
  assert.ok(await page.evaluate(() => window.same));
});
