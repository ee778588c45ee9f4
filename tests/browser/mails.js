// Mails as people read them: at a desk and on a telephone, by day and by night, with their pictures and without. Nothing is
// fetched, nothing scrolls sideways, everything can be read. The screenshots are for people to look at.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { story, PHONE } = require('./browser.js');

const DESK = { width: 900, height: 700 };
const LOOKS = [
  ['desk-day', { colorScheme: 'light', viewport: DESK }],
  ['desk-night', { colorScheme: 'dark', viewport: DESK }],
  ['phone-day', { colorScheme: 'light', viewport: PHONE, hasTouch: true, isMobile: true }],
  ['phone-night', { colorScheme: 'dark', viewport: PHONE, hasTouch: true, isMobile: true }],
  ['watch', { colorScheme: 'light', viewport: { width: 280, height: 600 } }],
];

story(async (browser, folder) => {
  // A page without its pictures asks for them in vain, here as in a mail program that shows none.
  browser.away = true;
  for (const [look, options] of LOOKS) {
    const page = await browser.window(options);
    for (const file of fs.readdirSync(folder).sort()) {
      const what = `mail-${path.basename(file, '.html')}-${look}`;
      await page.goto(pathToFileURL(path.join(folder, file)).href);
      await browser.picture(page, what, true);
      await browser.fits(page, what);
      // Its words and colours are the same on every screen.
      if (look.startsWith('desk')) await browser.accessible(page, what);
    }
    await page.context().close();
  }
});
