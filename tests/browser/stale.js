// A page that is kept open: it follows what happens by itself, and says when the server is away.
'use strict';
const { assert, story, until } = require('./browser.js');

story(async (browser, pid) => {
  const page = await browser.window();
  // Minutes pass in the page at a word.
  await page.clock.install();
  await browser.open(page, '/');
  assert.match(await page.textContent('#pulse'), /live/);
  await page.clock.runFor(1000);
  browser.away = true;
  process.kill(Number(pid), 'SIGKILL');
  await until('it is seen that the server is away', async () => {
    await page.clock.runFor(16000);
    return (await page.locator('#pulse.lost').count()) === 1 && (await page.locator('#lost').isVisible());
  });
  assert.match(await page.textContent('#pulse'), /no answer for/);
  assert.equal(await page.locator('#table tbody tr').count(), 5, 'what was known stays');
  await browser.accessible(page, 'the server is away');
  await browser.picture(page, 'server-away');
});
