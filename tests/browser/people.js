// Signing in, taking a problem, a silence and its end, signing out.
'use strict';
const { assert, story, until } = require('./browser.js');

story(async (browser, password) => {
  const page = await browser.window();
  // Who has not signed in sees nothing, and is led to the form and back.
  await browser.open(page, '/incident/1');
  assert.equal(new URL(page.url()).pathname, '/sign-in');
  assert.doesNotMatch(await page.content(), /web01|\/var/);
  await browser.accessible(page, 'sign-in');
  await browser.picture(page, 'sign-in');
  const sign = async (name, word) => {
    await page.fill('input[name="user"]', name);
    await page.fill('input[name="password"]', word);
    await page.click('button:text("Sign in")');
    await page.waitForLoadState('load');
  };
  await sign('ada', 'wrong');
  await page.waitForSelector('[role="alert"]:visible');
  assert.equal(await page.inputValue('input[name="user"]'), 'ada');
  await browser.accessible(page, 'sign-in refused');
  await sign('ada', password);
  await page.waitForURL('**/incident/1');
  assert.match(await page.textContent('.top'), /ada/);

  await page.fill('input[name="note"]', 'I look at it <b>now</b> ‮');
  await browser.accessible(page, 'an incident to be taken');
  await browser.picture(page, 'incident-forms', true);
  await page.click('button:text("Acknowledge")');
  await page.waitForURL('**/incident/1');
  await page.waitForSelector('dd:has-text("by ada")');
  assert.match(await page.textContent('#all'), /I look at it <b>now<\/b>/);
  assert.doesNotMatch(await page.content(), /\u202e/);
  await browser.open(page, '/host/web01');
  assert.match(await page.textContent('#problems'), /taken by ada/);

  // Silence the other one from its page.
  await browser.open(page, '/incident/2');
  await page.click('summary:text("Silence this problem")');
  assert.equal(await page.inputValue('#silence-form input[name="host"]'), 'web02');
  await page.selectOption('select[name="for"]', '4h');
  await page.fill('input[name="reason"]', 'batch until noon');
  await page.click('button:text("Silence")');
  await page.waitForURL('**/incident/2');
  await until('it is silenced', async () => {
    await page.reload();
    return /silenced/i.test(await page.textContent('#all'));
  });
  await browser.open(page, '/incidents');
  assert.match(await page.textContent('#silences'), /web02.*batch until noon/s);
  await browser.accessible(page, 'incidents, signed in');
  await browser.picture(page, 'incidents-signed-in', true);
  await page.click('#silences button:has-text("End")');
  await page.waitForURL('**/incidents');
  await until('it is over', async () => {
    await page.reload();
    return !/batch until noon/.test(await page.textContent('#silences'));
  });

  // An order that is refused says why, on a page.
  await page.click('summary:has-text("Silence hosts")');
  await page.fill('#silence-form input[name="host"]', 'web[01');
  await page.fill('#silence-form input[name="reason"]', 'x');
  await page.click('#silence-form button');
  await page.waitForSelector('h1:has-text("422")');
  assert.match(await page.textContent('main'), /did you mean "web01"/);

  // A session that ends while a page is open: what is seen stays, and it is told.
  await browser.open(page, '/');
  const cookies = await page.context().cookies();
  assert.ok(cookies.every(({ httpOnly, sameSite }) => httpOnly && sameSite === 'Strict'), JSON.stringify(cookies));
  await page.context().clearCookies();
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await page.waitForSelector('#gone:visible');
  assert.equal(await page.locator('#table tbody tr').count(), 5);
  await page.context().addCookies(cookies);

  await browser.open(page, '/');
  await page.click('button:text("Sign out")');
  await page.waitForLoadState('load');
  await browser.open(page, '/');
  assert.equal(new URL(page.url()).pathname, '/sign-in');
});
