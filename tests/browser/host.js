// The charts of a host: they zoom together, the address says what is seen, a moment has its processes.
'use strict';
const { assert, story, until } = require('./browser.js');

story(async (browser) => {
  const page = await browser.window();
  await browser.open(page, '/host/web01');
  const ready = () => page.getAttribute('#charts', 'data-ready');
  const params = () => new URL(page.url()).searchParams;
  const drag = async (chart, from, to) => {
    const over = page.locator(`[data-chart="${chart}"] .u-over`);
    await over.scrollIntoViewIfNeeded();
    const box = await over.boundingBox();
    await page.mouse.move(box.x + box.width * from, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * ((from + to) / 2), box.y + 60);
    await page.mouse.move(box.x + box.width * to, box.y + 60);
    await page.mouse.up();
  };
  assert.equal(await page.locator('[data-chart="cpu"] canvas').count(), 1);
  assert.ok((await page.locator('figure canvas').count()) >= 8, 'a host that measures much has many charts');
  // As many points as pixels: the request says so.
  const asked = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name).find((name) => name.includes('/charts?')));
  const points = Number(new URL(asked).searchParams.get('points'));
  assert.ok(points >= 50 && points <= 1280, asked);

  // Under the pointer: the moment, the values then, and what was wrong; in the other charts the keys follow.
  const over = page.locator('[data-chart="filesystem"] .u-over');
  await over.scrollIntoViewIfNeeded();
  const { width } = await over.boundingBox();
  await over.hover({ position: { x: width * 0.95, y: 40 } });
  await page.waitForSelector('.tip.reading:visible');
  const tip = await page.textContent('.tip.reading');
  assert.match(tip, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
  assert.match(tip, /\/var97%/);
  assert.match(tip, /\/var is 97% full, over 90%/);
  await browser.picture(page, 'hover');
  await page.mouse.move(5, 5);
  await until('it goes with the pointer', async () => (await page.locator('.tip.reading:visible').count()) === 0);

  // The keys of a chart are the lines, and switch them off.
  const key = page.locator('[data-chart="load"] .keys button').first();
  assert.match(await key.textContent(), /1 min/);
  await key.click();
  assert.equal(await key.getAttribute('aria-pressed'), 'false');

  const whole = await ready();
  await drag('cpu', 0.55, 0.75);
  await until('the charts show less', async () => (await ready()) !== whole);
  const [from, to] = ['from', 'to'].map((name) => Date.parse(params().get(name)) / 1000);
  assert.ok(to - from > 3600 * 3 && to - from < 3600 * 7, `${params()}: a fifth of a day`);
  assert.equal(await ready(), `${from}-${to}`);
  // All of them, not only the one that was dragged in.
  const shown = await page.evaluate(() => document.querySelectorAll('#charts .u-over').length);
  assert.ok(shown >= 8);
  await until('the range is told', async () => (await page.locator('#range a[aria-current]').count()) === 0);
  await browser.picture(page, 'zoomed');

  // The same from the keyboard, closer still, and the value under the cursor is said.
  await page.locator('[data-chart="memory"]').focus();
  await page.keyboard.press('ArrowLeft');
  assert.match(await page.textContent('#range-said'), /used \d+/);
  await page.keyboard.press('+');
  await until('closer', async () => (await ready()) !== `${from}-${to}`);
  const closer = await ready();

  // Back, by the browser, is what it was; a reload too, for the address says all.
  await page.goBack();
  await until('back', async () => (await ready()) === `${from}-${to}`);
  await page.reload();
  await page.waitForSelector('#charts[data-ready]', { state: 'attached' });
  assert.equal(await ready(), `${from}-${to}`);
  assert.notEqual(closer, await ready());

  // A moment: the processes of then, not of now.
  const before = await page.textContent('#moment');
  await page.locator('[data-chart="cpu"] .u-over').click({ position: { x: 60, y: 50 } });
  await until('the processes of the moment', async () => params().has('at') && (await page.textContent('#moment')) !== before);
  const at = Date.parse(params().get('at')) / 1000;
  assert.ok(at > from && at < to, `${at} within ${from} to ${to}`);
  assert.match(await page.textContent('#moment'), /postgres/);
  assert.match(await page.textContent('#moment'), /nearest before the chosen moment/);

  // A double click leads back to the day.
  await page.locator('[data-chart="cpu"] .u-over').dblclick({ position: { x: 90, y: 50 } });
  await until('the whole day', async () => !params().has('from') && (await ready()) !== `${from}-${to}`);
  await until('the usual range', async () => (await page.textContent('#range a[aria-current]')) === '24h');
  await page.click('#range a:text("6h")');
  await until('six hours', async () => params().get('span') === '6h' && (await page.textContent('#range a[aria-current]')) === '6h');

  // Numbers instead of lines.
  await page.locator('[data-chart="filesystem"] summary').click();
  assert.match(await page.textContent('[data-chart="filesystem"] tbody'), /\/var\s*97%/);
  // A problem's own page has the chart of its metric, around its time; zooming there stays there.
  await browser.open(page, '/incident/4');
  assert.deepEqual(await page.locator('figure.chart').evaluateAll((all) => all.map((one) => one.dataset.chart)), ['cpu']);
  const around = await ready();
  const [begin, end] = around.split('-').map(Number);
  assert.ok(end - begin > 80 * 60 && end - begin < 6 * 3600, `${around}: 80 minutes and some before and after`);
  await drag('cpu', 0.3, 0.6);
  await until('closer', async () => (await ready()) !== around);
  assert.ok(new URL(page.url()).pathname === '/incident/4' && params().has('from'));
  await page.locator('[data-chart="cpu"] .u-over').dblclick({ position: { x: 90, y: 50 } });
  await until('as it was', async () => (await ready()) === around);
  await browser.accessible(page, 'a problem with its chart');

  // A deep link by host= leads to the same place.
  await page.goto(`${browser.url}/?host=db1&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z`);
  assert.equal(new URL(page.url()).pathname, '/host/db1');
  await page.waitForSelector('#charts[data-ready]', { state: 'attached' });
  assert.equal(await page.locator('.blank:text("Nothing was measured in this time.")').count(), await page.locator('figure.chart').count());
  await browser.accessible(page, 'nothing measured');
  await browser.picture(page, 'nothing-measured');
});
