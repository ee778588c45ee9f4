// What every page does beyond HTML: it stays fresh, follows links without a flash, and is quick with the keyboard.
// All of it is the same pages fetched again: parts marked data-live are exchanged, so there is one way to draw them.
'use strict';
(() => {
  const root = document.documentElement;
  const one = (what, where = document) => where.querySelector(what);
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const every = Number(document.body.dataset.every || 0) * 1000;
  const pulse = one('#pulse');
  // Ages grow by themselves: only what else is different counts.
  const plain = (part) => part.outerHTML.replace(/( data-age="">)[^<]*/g, '$1');
  const text = new Map(all('[data-live]').map((part) => [part.id, plain(part)]));
  let under = null;
  let fresh = Date.now();
  let lost = 0;
  let gone = false;
  let missing = false;

  // --- the age of things, counted on by this machine from what the server said ---
  const begun = Date.now();
  const clock = Date.parse(document.body.dataset.now) || begun;
  const now = () => clock + (Date.now() - begun);
  const span = (seconds) => {
    const steps = [['d', 86400], ['h', 3600], ['m', 60]];
    for (const [unit, size] of steps) if (seconds >= 2 * size) return `${Math.floor(seconds / size)}${unit}`;
    return `${Math.max(0, Math.floor(seconds))}s`;
  };
  const two = (number) => String(number).padStart(2, '0');
  const local = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const ages = () => {
    for (const time of all('time[data-age]')) {
      const words = span((now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== words) time.textContent = words;
    }
    // Moments of the server in UTC become those of the wall clock here; what they were stays to be pointed at.
    for (const time of all('time:not([title])')) {
      const at = new Date(time.dateTime);
      if (!('age' in time.dataset)) time.textContent = local(at);
      time.title = 'age' in time.dataset ? local(at) : time.dateTime;
    }
  };
  const beat = () => {
    const late = lost > 0;
    pulse.classList.toggle('lost', late || missing);
    if (missing && !late) pulse.textContent = 'no longer there';
    else pulse.textContent = late ? `no answer for ${span((Date.now() - fresh) / 1000)}` : `live, ${span((Date.now() - fresh) / 1000)} ago`;
    const notice = one('#lost');
    if (notice) notice.hidden = !late || Date.now() - fresh < 3 * every;
    one('#missing').hidden = !missing;
  };

  // --- exchange of parts ---
  const remember = () => {
    const at = document.activeElement;
    if (!at || at === document.body || !at.closest('[data-live]')) return () => {};
    const names = [at.id && `#${CSS.escape(at.id)}`, at.name && `[name="${CSS.escape(at.name)}"]`, at.getAttribute('href') && `a[href="${CSS.escape(at.getAttribute('href'))}"]`];
    const part = `#${CSS.escape(at.closest('[data-live]').id)}`;
    return () => {
      for (const name of names) {
        const found = name && one(`${part} ${name}`);
        if (found) return found.focus({ preventScroll: true });
      }
    };
  };
  const typing = (part) => {
    const at = document.activeElement;
    return at && part.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
  };
  // Asked before anything is replaced: a page that has other parts, the first host's for example, cannot be filled in
  // here, and half of an exchange shows neither.
  const alike = (next) => {
    const names = (page) => all('[data-live]', page).map((part) => part.id).join(' ');
    return names(document) === names(next);
  };
  const exchange = (next) => {
    const focus = remember();
    for (const part of all('[data-live]')) {
      const other = next.getElementById(part.id);
      if (text.get(part.id) === plain(other) || typing(part)) continue;
      const open = all('details[open][id]', part).map((detail) => detail.id);
      text.set(part.id, plain(other));
      part.replaceWith(document.importNode(other, true));
      for (const id of open) document.getElementById(id)?.setAttribute('open', '');
    }
    document.title = next.title;
    const icon = one('link[rel="icon"]', next);
    if (icon && icon.href !== one('link[rel="icon"]').href) one('link[rel="icon"]').replaceWith(document.importNode(icon));
    focus();
    dress();
  };
  const signedOut = () => {
    gone = true;
    one('#gone').hidden = false;
    pulse.hidden = true;
  };
  const show = async (url, { push = false, replace = false, asked = true } = {}) => {
    under?.abort();
    const own = (under = new AbortController());
    if (asked) root.toggleAttribute('data-loading', true);
    try {
      const answer = await fetch(url, { signal: own.signal, headers: { Accept: 'text/html' }, credentials: 'same-origin' });
      if (answer.redirected && new URL(answer.url).pathname === '/sign-in') return asked ? location.assign(url) : signedOut();
      if (answer.redirected || !(answer.headers.get('content-type') || '').startsWith('text/html') || answer.status >= 500) throw answer;
      const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (push) history.pushState(null, '', url);
      if (replace) history.replaceState(null, '', url);
      missing = answer.status >= 400;
      if (missing || !alike(next)) {
        if (asked) return location.assign(url);
        // What is typed would be lost; it is asked again later. The browser keeps the place on the page.
        if (!missing && !typing(document.body)) return location.reload();
      } else exchange(next);
      fresh = Date.now();
      lost = 0;
      // What changed by somebody's wish is said to who cannot see it.
      if (asked) {
        one('#said').textContent = one('#table-name')?.textContent ?? '';
        const [filter, other] = [one('#filter'), one('#filter', next)];
        if (filter && other) {
          filter.value = other.value;
          filter.setAttribute('aria-invalid', String(other.getAttribute('aria-invalid') === 'true'));
        }
      }
    } catch (error) {
      if (error.name === 'AbortError') return;
      lost += 1;
      if (asked) return location.assign(url);
    } finally {
      if (under === own) {
        under = null;
        root.toggleAttribute('data-loading', false);
      }
    }
    beat();
  };

  // --- the heat map: one stop for the Tab key, arrows inside ---
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  tip.setAttribute('aria-hidden', 'true');
  document.body.append(tip);
  const tell = (cell) => {
    tip.hidden = !cell;
    if (!cell) return;
    tip.textContent = cell.getAttribute('aria-label');
    const box = cell.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
    const above = box.top - tip.offsetHeight - 5;
    tip.style.top = `${above > 0 ? above : box.bottom + 5}px`;
  };
  const dress = () => {
    // What scrolls sideways can be reached by keyboard, whatever stands in it.
    for (const part of all('.scroll')) part.toggleAttribute('tabindex', part.scrollWidth > part.clientWidth);
    for (const part of all('.scroll[tabindex]')) part.tabIndex = 0;
    for (const heat of all('.heat')) one('a.c', heat)?.setAttribute('tabindex', '0');
    tell(null);
    ages();
  };
  const move = (cell, key) => {
    const cells = all('a.c', cell.closest('.heat'));
    const at = cells.indexOf(cell);
    if (key === 'ArrowRight') return cells[at + 1];
    if (key === 'ArrowLeft') return cells[at - 1];
    if (key === 'Home') return cells[0];
    if (key === 'End') return cells[cells.length - 1];
    // The nearest above or below, whatever group it is of; one aside is farther than one in line.
    const box = cell.getBoundingClientRect();
    let best = null;
    let least = Infinity;
    for (const other of cells) {
      const place = other.getBoundingClientRect();
      const apart = key === 'ArrowDown' ? place.top - box.top : box.top - place.top;
      const far = apart + 2 * Math.abs(place.left + place.width / 2 - box.left - box.width / 2);
      if (apart > 4 && far < least) [best, least] = [other, far];
    }
    return best;
  };
  document.addEventListener('keydown', (event) => {
    const cell = event.target.closest?.('a.c');
    if (cell && /^(Arrow|Home|End)/.test(event.key)) {
      const next = move(cell, event.key);
      event.preventDefault();
      if (!next) return;
      cell.setAttribute('tabindex', '-1');
      next.setAttribute('tabindex', '0');
      next.focus();
    }
    if (event.key === '/' && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && !event.ctrlKey && !event.metaKey) {
      const filter = one('input[type="search"]');
      if (filter) {
        event.preventDefault();
        filter.focus();
        filter.select();
      }
    }
    if (event.key === 'Escape') tell(null);
  });
  document.addEventListener('mouseover', (event) => tell(event.target.closest?.('a.c')));
  document.addEventListener('focusin', (event) => tell(event.target.closest?.('a.c')));

  // --- links and forms that stay on the page ---
  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a[data-in]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    show(link.href, { push: true });
  });
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (!form.matches('form[data-in]')) return;
    event.preventDefault();
    // Sorting and the like are those of the address: the form is older.
    const url = new URL(location.href);
    url.searchParams.delete('page');
    url.searchParams.delete('before');
    url.searchParams.delete('filter');
    const typed = one('#filter', form).value.trim();
    if (typed) url.searchParams.set('filter', typed);
    show(url.href, { push: true });
  });
  addEventListener('popstate', () => show(location.href));

  // --- theme ---
  const themes = ['auto', 'light', 'dark'];
  const button = one('#theme');
  const named = () => {
    button.textContent = `Theme: ${root.dataset.theme || 'auto'}`;
  };
  button.hidden = false;
  button.addEventListener('click', () => {
    const next = themes[(themes.indexOf(root.dataset.theme || 'auto') + 1) % themes.length];
    if (next === 'auto') delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (next === 'auto') localStorage.removeItem('theme');
      else localStorage.setItem('theme', next);
    } catch {
      // It holds for this page then.
    }
    named();
    dispatchEvent(new Event('themechange'));
  });
  named();

  // --- fresh by itself, while somebody looks ---
  // A small question every few seconds; the page itself only when the answer is another one, or after a minute, for
  // what the answer does not cover: mails, silences, our own health.
  const LONGEST = 60000;
  let stamp = null;
  let whole = Date.now();
  let asking = false;
  const look = async () => {
    if (document.hidden || under || gone || asking) return;
    asking = true;
    try {
      const answer = await fetch('/api/v1/pulse', { headers: { Accept: 'application/json' }, credentials: 'same-origin' });
      if (answer.status === 401) return signedOut();
      if (!answer.ok) throw answer;
      const next = (await answer.json()).stamp;
      fresh = Date.now();
      lost = 0;
      if (next !== stamp || Date.now() - whole > LONGEST) {
        stamp = next;
        whole = Date.now();
        await show(location.href, { asked: false });
        dispatchEvent(new Event('refresh'));
      }
    } catch {
      lost += 1;
    } finally {
      asking = false;
    }
    beat();
  };
  // A page that could not be shown is asked for again once the store answers.
  const wait = async () => {
    if (document.hidden || asking) return;
    asking = true;
    asking = await fetch('/readyz', { cache: 'no-store' }).then((answer) => answer.ok, () => false);
    if (asking) location.reload();
  };
  if (one('#waits')) {
    pulse.hidden = true;
    setInterval(wait, every);
    document.addEventListener('visibilitychange', wait);
  } else if (every) {
    setInterval(look, every);
    document.addEventListener('visibilitychange', look);
    setInterval(() => (ages(), beat()), 1000);
    beat();
  } else {
    pulse.hidden = true;
    setInterval(ages, 1000);
  }
  dress();
  window.fleet = { show, span, local };
})();
