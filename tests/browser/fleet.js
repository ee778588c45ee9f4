// A fleet of five hundred: filter, sort, pages, heat map by keyboard, and the same without scripts.
'use strict';
const { assert, story, until } = require('./browser.js');

story(async (browser) => {
  const page = await browser.window();
  await browser.open(page, '/');
  const names = () => page.locator('#table tbody th').allTextContents().then((all) => all.map((name) => name.trim()));
  const params = () => new URL(page.url()).searchParams;
  const counted = async (word) => Number(await page.locator('.tally li', { hasText: word }).locator('b').textContent());
  assert.equal(await page.locator('a.c').count(), 500);
  assert.equal(await page.locator('#table tbody tr').count(), 100);
  // Worst first, and no colour without its sign.
  assert.equal((await page.locator('#table tbody .level').first().textContent()).trim(), 'critical');
  assert.ok((await counted('critical')) > 3 && (await counted('warning')) > 3 && (await counted('unknown')) > 0);
  const sign = await page.evaluate(() => getComputedStyle(document.querySelector('a.c.k'), '::before').content);
  assert.equal(sign, '"✕"');

  // The filter, with Enter; the address holds it, nothing is loaded anew.
  await page.evaluate(() => (window.same = true));
  await page.keyboard.press('/');
  await page.keyboard.type('group=rack-03 level<critical');
  await page.keyboard.press('Enter');
  await until('one group', async () => (await page.locator('a.c').count()) === 49 || (await page.locator('a.c').count()) === 50);
  assert.equal(params().get('filter'), 'group=rack-03 level<critical');
  assert.ok((await names()).every((name) => name >= 'node0101' && name <= 'node0150'));
  assert.equal(await page.evaluate(() => document.activeElement.id), 'filter');

  // One that is not understood says where and what to write.
  await page.fill('#filter', 'cpu.usd>80%');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#wrong');
  assert.match(await page.textContent('#wrong'), /cpu\.used/);
  await browser.accessible(page, 'a wrong filter');
  await page.fill('#filter', 'nobody*');
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=No host fits');
  await browser.picture(page, 'no-host-fits');
  await page.click('#table a:text("Clear the filter")');
  await until('all again', async () => (await page.locator('a.c').count()) === 500);

  // Sorted by a column, both ways, over all pages.
  const cpu = () => page.locator('#table td[data-name="CPU"]').allTextContents().then((all) => all.map(parseFloat));
  await page.click('#table thead a:text("CPU")');
  await until('sorted', async () => params().get('sort') === 'cpu' && (await page.getAttribute('th[aria-sort]', 'aria-sort')) === 'descending');
  const down = (await cpu()).filter((value) => !Number.isNaN(value));
  assert.ok(down.length > 90 && down.every((value, n) => !n || value <= down[n - 1]), down.join(' '));
  await page.click('#table thead a:text("CPU")');
  await until('turned', async () => params().get('sort') === '-cpu');
  await until('ascending', async () => (await page.getAttribute('th[aria-sort]', 'aria-sort')) === 'ascending');
  const up = (await cpu()).filter((value) => !Number.isNaN(value));
  assert.ok(up[0] < down[0] && up.every((value, n) => !n || value >= up[n - 1]), up.join(' '));
  await page.click('a[rel="next"]');
  await until('the second page', async () => params().get('page') === '2' && /page 2 of 5/.test(await page.textContent('.pages')));
  assert.equal(params().get('sort'), '-cpu');
  await page.goBack();
  await until('the first page', async () => /page 1 of 5/.test(await page.textContent('.pages')));

  // Values instead of levels.
  await page.click('.legend a:text("CPU")');
  await page.waitForSelector('.heat.shade a.c');
  assert.match(await page.locator('.heat a.c').nth(20).textContent(), /^\d+$/);
  await browser.accessible(page, 'values in the heat map');
  await browser.picture(page, 'heat-cpu');
  await page.click('.legend a:text("Level")');
  await page.waitForSelector('.heat:not(.shade)');

  // By keyboard: one stop, arrows inside, Enter opens.
  await page.locator('a.c[tabindex="0"]').focus();
  const first = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  const third = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  assert.ok(first.startsWith('node0001') && !third.startsWith('node0001') && !third.startsWith('node0002'), `${first}; ${third}`);
  assert.equal(await page.locator('.tip').isVisible(), true);
  assert.equal(await page.textContent('.tip'), third);
  assert.ok(await page.evaluate(() => window.same), 'the page was never loaded anew');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/host/${third.split(':')[0]}`);

  // The group's own page.
  await browser.open(page, '/group/rack-03');
  assert.equal(await page.locator('a.c').count(), 50);

  // Without scripts the same tables are there.
  const plain = await browser.window({ javaScriptEnabled: false });
  await plain.goto(`${browser.url}/?filter=group%3Drack-03&sort=-host`);
  assert.equal((await plain.locator('#table tbody th').first().textContent()).trim(), 'node0150');
  await plain.click('#table thead a:text("Host")');
  assert.equal((await plain.locator('#table tbody th').first().textContent()).trim(), 'node0101');
  await plain.fill('#filter', 'node0042');
  await plain.press('#filter', 'Enter');
  assert.equal((await plain.locator('#table tbody th').first().textContent()).trim(), 'node0042');
  await plain.click('#table tbody th a');
  assert.match(await plain.textContent('#filesystems'), /\/var/);
  assert.match(await plain.textContent('noscript >> nth=0'), /Charts need scripts/);
});
