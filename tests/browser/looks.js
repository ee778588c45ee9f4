// Every page in light and dark, wide and on a phone: nothing that shuts people out, no sideways scroll, not heavy. The
// pictures are for people to look at.
'use strict';
const { assert, story, WIDE, PHONE } = require('./browser.js');

const LOOKS = [
  ['light', { colorScheme: 'light', viewport: WIDE }],
  ['dark', { colorScheme: 'dark', viewport: WIDE }],
  ['phone', { colorScheme: 'light', viewport: PHONE, hasTouch: true, isMobile: true }],
];

story(async (browser, fleet, ...places) => {
  for (const [look, options] of LOOKS) {
    for (const place of places) {
      const page = await browser.window(options);
      const what = `${fleet}-${place.replace(/[^a-z0-9]+/gi, '-').replace(/^-|-$/g, '') || 'fleet'}-${look}`;
      const answer = await browser.open(page, place);
      assert.ok([200, 404].includes(answer.status()), `${what}: ${answer.status()}`);
      await browser.picture(page, what, true);
      await browser.accessible(page, what);
      await browser.fits(page, what);
      console.log(`${what}: ${Math.round(page.weight / 100) / 10} kB`);
      assert.ok(page.weight > 0 && page.weight < 150000, `${what} weighs ${page.weight} bytes`);
      await page.context().close();
    }
  }
});
