// Whatever a host says of itself stays text, on every page and in every picture.
'use strict';
const { assert, story } = require('./browser.js');

story(async (browser, ...places) => {
  for (const place of places) {
    const page = await browser.window();
    await browser.open(page, place);
    const found = await page.evaluate(() => ({
      ran: window.hostile === true,
      elements: document.querySelectorAll('script:not([src]), img, iframe, [onerror], [onload], [onmouseover], main style').length,
      text: document.body.innerText,
    }));
    assert.equal(found.ran, false, place);
    assert.equal(found.elements, 0, place);
    assert.match(found.text, /<script>window\.hostile=true<\/script>/, `${place} shows it as text`);
    assert.doesNotMatch(await page.content(), /[\u202a-\u202e\u2066-\u2069\u0000-\u0008\u001b]/, place);
    await browser.fits(page, place);
    await browser.picture(page, `hostile-${place.replace(/\W+/g, '-')}`, true);
    await page.context().close();
  }
});
