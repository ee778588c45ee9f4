// The page of an empty fleet, kept open, fills itself when the first host is added.
'use strict';
const { assert, story, turn, until } = require('./browser.js');

story(async (browser) => {
  const page = await browser.window();
  await page.clock.install();
  await browser.open(page, '/');
  assert.equal(await page.locator('#heat').count(), 0);
  // The test adds a host to the configuration now.
  await turn();
  await until('the first host is seen', async () => {
    await page.clock.runFor(16000);
    return (await page.locator('#heat a.c').count()) === 1;
  });
  assert.equal(await page.locator('#table tbody tr').count(), 1);
});
