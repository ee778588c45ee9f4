// Pages of two hosts, kept open: one is measured for the first time, the other is removed.
'use strict';
const { assert, story, turn, until } = require('./browser.js');

story(async (browser) => {
  const [fresh, removed] = [await browser.window(), await browser.window()];
  for (const [page, host] of [[fresh, 'fresh'], [removed, 'removed']]) {
    await page.clock.install();
    await browser.open(page, `/host/${host}`);
    assert.equal(await page.locator('#charts').count(), 0);
  }
  await fresh.evaluate(() => {
    const field = document.createElement('input');
    field.id = 'typed';
    document.querySelector('#main').append(field);
    field.focus();
  });
  const bar = await removed.locator('#bar a').count();
  // The test writes a sample, and takes a host out of the configuration.
  await turn();
  await until('it is seen that the host is gone', async () => {
    await removed.clock.runFor(16000);
    return removed.locator('#missing').isVisible();
  });
  assert.equal(await removed.textContent('#pulse'), 'no longer there');
  assert.equal(await removed.locator('#bar a').count(), bar, 'nothing was half exchanged');
  assert.match(await removed.textContent('#head h1'), /removed/);
  // Nothing is loaded anew under somebody who types.
  for (let n = 0; n < 10; n += 1) {
    await fresh.clock.runFor(16000);
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.equal(await fresh.locator('#typed').count(), 1);
  await fresh.evaluate(() => document.activeElement.blur());
  await until('the charts are there', async () => {
    await fresh.clock.runFor(16000);
    return (await fresh.locator('#charts[data-ready]').count()) === 1;
  });
});
