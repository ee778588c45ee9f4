// The charts of a host: one axis of time for all. Drag to look closer, double click for where you came from, click for
// the processes of that moment. The address always says what is seen, so that it can be sent to somebody.
'use strict';
(() => {
  const box = document.getElementById('charts');
  if (!box) return;
  const { show, local } = window.fleet;
  const live = document.getElementById('range-said');
  // Where a moment's processes are shown; a page about a problem has none.
  const moments = document.getElementById('moment') !== null;
  const charts = new Map();
  const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [12, 4], [4, 2]];
  let held = null;
  let wanted = null;
  let range = null;

  const query = () => new URLSearchParams(location.search);
  // What is shown where the address does not say: a day up to now, or the time of a problem.
  const usual = new URLSearchParams(box.dataset.usual);
  const asked = () => (query().has('from') || query().has('to') || query().has('span') ? query() : usual);
  const address = (change) => {
    const params = query();
    for (const [name, value] of Object.entries(change)) {
      if (value === null) params.delete(name);
      else params.set(name, value);
    }
    const text = params.toString();
    return location.pathname + (text ? `?${text}` : '');
  };
  const stamp = (seconds) => new Date(Math.round(seconds) * 1000).toISOString().replace('.000', '');

  // --- numbers as people read them ---
  const few = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.001 || size >= 1e15)) return value.toExponential(1);
    return String(Number(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3)));
  };
  const bytes = (value) => {
    for (const unit of ['B', 'KiB', 'MiB', 'GiB', 'TiB']) {
      if (Math.abs(value) < 1023.5) return few(value) + unit;
      value /= 1024;
    }
    return `${few(value)}PiB`;
  };
  const FORMS = {
    ratio: (value) => `${few(Math.round(value * 1000) / 10)}%`,
    bytes,
    'bytes/s': (value) => `${bytes(value)}/s`,
    '1/s': (value) => `${few(value)}/s`,
    seconds: (value) => (Math.abs(value) < 1 ? `${few(value * 1000)}ms` : Math.abs(value) < 120 ? `${few(value)}s` : window.fleet.span(value)),
    celsius: (value) => `${few(value)}°C`,
    count: few,
  };
  const form = (unit) => (value) => (value === null || value === undefined ? '–' : (FORMS[unit] || few)(value));
  const steps = (unit) => {
    if (unit !== 'bytes' && unit !== 'bytes/s') return {};
    const all = [];
    for (let power = 0; power < 50; power += 1) all.push(2 ** power);
    return { incrs: all };
  };
  const paint = document.createElement('i');
  paint.hidden = true;
  document.body.append(paint);
  const colour = (name) => {
    paint.style.color = `var(--${name})`;
    return getComputedStyle(paint).color;
  };

  // Hours as a clock shows them, the day under the first and wherever it changes.
  const hours = (splits, step) => {
    let day = '';
    return splits.map((at) => {
      const [date, time] = local(new Date(at * 1000)).split(' ');
      const known = date === day;
      day = date;
      if (step >= 86400) return step >= 28 * 86400 ? date.slice(0, 7) : date.slice(5);
      const clock = time.slice(0, step < 60 ? 8 : 5);
      return known ? clock : `${clock}\n${date.slice(5)}`;
    });
  };

  // --- one chart ---
  const marks = (spec) => (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const incident of held.incidents) {
      const left = u.valToPos(incident.opened, 'x', true);
      const right = u.valToPos(incident.closed ?? held.to, 'x', true);
      if (right < bbox.left || left > bbox.left + bbox.width) continue;
      const own = incident.own.includes(spec.id);
      ctx.globalAlpha = own ? 0.22 : 0.09;
      ctx.fillStyle = colour(`${incident.level}-fill`);
      ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
      ctx.globalAlpha = 1;
      ctx.fillRect(left, bbox.top, Math.max(2, right - left), own ? 4 : 2);
      if (own) {
        ctx.fillStyle = colour(incident.level);
        ctx.font = `700 ${11 * devicePixelRatio}px system-ui, sans-serif`;
        ctx.fillText(incident.level === 'critical' ? '✕' : '!', Math.max(left, bbox.left) + 4, bbox.top + 15 * devicePixelRatio);
      }
    }
    for (const [level, value] of spec.levels) {
      const y = Math.round(u.valToPos(value, 'y', true)) + 0.5;
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.strokeStyle = colour(`${level}-fill`);
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.setLineDash([]);
    }
    const at = Date.parse(query().get('at')) / 1000;
    if (at) {
      ctx.strokeStyle = colour('ink');
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      const x = Math.round(u.valToPos(at, 'x', true)) + 0.5;
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  };
  const line = (n) => {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('aria-hidden', 'true');
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    path.setAttribute('d', 'M0 4H18');
    path.setAttribute('stroke-width', '2');
    path.setAttribute('stroke', colour((n % 6) + 1));
    path.setAttribute('stroke-dasharray', DASHES[n % DASHES.length].join(' '));
    svg.append(path);
    return svg;
  };
  const values = (chart, at) => {
    chart.keys.forEach(({ button, value }, n) => {
      const list = chart.data[n + 1];
      let shown = at === null || at === undefined ? null : list[at];
      if (at === null || at === undefined) for (let i = list.length - 1; i >= 0 && (shown === null || shown === undefined); i -= 1) shown = list[i];
      value.textContent = chart.form(shown);
      button.title = `${button.dataset.name}: show or hide`;
    });
  };
  // --- what is under the pointer, in words ---
  const tip = document.createElement('div');
  tip.className = 'tip reading';
  tip.hidden = true;
  // What it says, the keys of the chart and the list of problems say too.
  tip.setAttribute('aria-hidden', 'true');
  document.body.append(tip);
  let under = null;
  const row = (name, ...parts) => {
    const made = document.createElement(name);
    made.append(...parts);
    return made;
  };
  const leave = (plot) => {
    if (plot && under !== plot) return;
    under = null;
    tip.hidden = true;
  };
  const hint = (chart) => {
    const { plot } = chart;
    if (!plot || under !== plot) return;
    const { idx, left } = plot.cursor;
    if (idx === null || idx === undefined || left < 0) return leave(plot);
    const lines = chart.keys.flatMap(({ button, value }, n) =>
      chart.hidden.has(button.dataset.name) ? [] : [row('div', line(n), row('bdi', button.dataset.name), row('b', value.textContent))],
    );
    const moment = plot.data[0][idx];
    const wrong = held.incidents.filter(({ opened, closed }) => opened <= moment && (closed ?? held.to) >= moment);
    const problems = wrong.slice(0, 3).map(({ level, text }) => {
      const said = row('div', text);
      said.className = `level ${level}`;
      return said;
    });
    if (wrong.length > 3) problems.push(row('small', `and ${wrong.length - 3} more problems`));
    tip.replaceChildren(row('strong', local(new Date(moment * 1000))), ...lines, ...problems);
    tip.hidden = false;
    const place = plot.over.getBoundingClientRect();
    const x = place.left + left;
    tip.style.left = `${x + 16 + tip.offsetWidth > innerWidth - 8 ? Math.max(4, x - 16 - tip.offsetWidth) : x + 16}px`;
    tip.style.top = `${Math.max(4, Math.min(place.top + 6, innerHeight - tip.offsetHeight - 8))}px`;
  };
  // The edges of a band are lines of their own, behind all others: the greatest, then the least.
  const edges = (chart, band) => [0, 1].map((n) => chart.spec.series.length + 1 + 2 * band + n);
  const faint = (text, share = 0.2) => text.replace(/^rgb\((.*)\)$/, `rgba($1, ${share})`);
  const keys = (chart, list) => {
    list.replaceChildren();
    chart.keys = chart.spec.series.map((series, n) => {
      const item = document.createElement('li');
      const button = document.createElement('button');
      const name = document.createElement('bdi');
      const value = document.createElement('b');
      button.type = 'button';
      button.dataset.name = series.name;
      button.setAttribute('aria-pressed', String(!chart.hidden.has(series.name)));
      name.textContent = series.name;
      button.append(line(n), name, value);
      button.addEventListener('click', () => {
        const off = !chart.hidden.delete(series.name);
        if (off) chart.hidden.add(series.name);
        button.setAttribute('aria-pressed', String(!off));
        chart.plot.setSeries(n + 1, { show: !off });
        const band = chart.bands.indexOf(n);
        if (band >= 0) for (const edge of edges(chart, band)) chart.plot.setSeries(edge, { show: !off });
      });
      item.append(button);
      list.append(item);
      return { button, value };
    });
    if (chart.spec.left) {
      const rest = document.createElement('li');
      rest.className = 'soft';
      rest.textContent = `and ${chart.spec.left} more, all lower`;
      list.append(rest);
    }
  };
  const numbers = (chart, body) => {
    body.replaceChildren();
    chart.spec.series.forEach((series, n) => {
      const known = series.values.filter((value) => value !== null);
      const row = body.insertRow();
      const head = document.createElement('th');
      head.scope = 'row';
      const name = document.createElement('bdi');
      name.textContent = series.name;
      head.append(name);
      row.append(head);
      const cells = [known.at(-1), series.min, series.mean, series.max];
      for (const value of cells) {
        const cell = row.insertCell();
        cell.className = 'num';
        cell.textContent = chart.form(value);
      }
    });
  };
  const draw = (figure, spec) => {
    const place = figure.querySelector('.plot');
    const chart = charts.get(spec.id) || { hidden: new Set() };
    charts.set(spec.id, chart);
    leave(chart.plot);
    chart.plot?.destroy();
    chart.spec = spec;
    chart.form = form(spec.unit);
    const lines = spec.series.map((series) => [series.at ?? spec.at, series.values]);
    // Which lines have points that stand for more than one sample.
    chart.bands = spec.series.flatMap((series, n) => (series.band ? [n] : []));
    for (const n of chart.bands) lines.push([lines[n][0], spec.series[n].band[1], spec.series[n].band[0]]);
    chart.data = lines.length ? uPlot.join(lines) : [[]];
    place.setAttribute('aria-busy', 'false');
    place.replaceChildren();
    chart.plot = null;
    keys(chart, figure.querySelector('.keys'));
    numbers(chart, figure.querySelector('tbody'));
    if (!chart.data[0].length) {
      const blank = document.createElement('div');
      blank.className = 'blank';
      blank.textContent = 'Nothing was measured in this time.';
      place.append(blank);
      return;
    }
    const soft = colour('soft');
    const grid = { stroke: colour('line'), width: 1 };
    const font = '11px system-ui, "DejaVu Sans", sans-serif';
    const series = spec.series.map((one, n) => ({
      label: one.name,
      show: !chart.hidden.has(one.name),
      stroke: colour((n % 6) + 1),
      width: 1.5,
      // One line of its own is a height; between several, fills would hide each other.
      fill: spec.area && n === 0 && !one.band ? faint(colour(1), 0.1) : undefined,
      dash: DASHES[n % DASHES.length],
      points: { show: (u, at) => u.data[0].length < 3 || spec.series[at - 1].values.filter((value) => value !== null).length < 3 },
    }));
    for (const n of chart.bands) {
      const edge = { show: series[n].show, stroke: 'transparent', width: 0, points: { show: false } };
      series.push(edge, { ...edge });
    }
    const bands = chart.bands.map((n, band) => ({ series: edges(chart, band), fill: faint(colour((n % 6) + 1)) }));
    chart.plot = new uPlot(
      {
        width: place.clientWidth,
        height: place.clientHeight,
        legend: { show: false },
        cursor: {
          sync: { key: 'host' },
          drag: { x: true, y: false, setScale: false },
          points: { size: 6 },
          // A height means something in one chart only.
          y: false,
          bind: { dblclick: () => () => back() },
        },
        scales: {
          x: { time: true, range: () => [held.from, held.to] },
          y: { range: (u, low, high) => bounds(spec, low, high) },
        },
        axes: [
          { stroke: soft, grid, ticks: grid, font, size: 40, values: (u, splits, axis, space, step) => hours(splits, step) },
          { stroke: soft, grid, ticks: { show: false }, font, size: 58, ...steps(spec.unit), values: (u, list) => list.map(chart.form) },
        ],
        series: [{}, ...series],
        bands,
        hooks: {
          drawClear: [marks(spec)],
          setCursor: [(u) => (values(chart, u.cursor.idx), hint(chart))],
          setSelect: [
            (u) => {
              if (u.select.width > 3) {
                const from = u.posToVal(u.select.left, 'x');
                const to = u.posToVal(u.select.left + u.select.width, 'x');
                if (u.cursor.event || u === aimed) zoom(from, to);
              }
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
        },
      },
      chart.data,
      place,
    );
    chart.plot.over.addEventListener('mousedown', () => {
      aimed = chart.plot;
    });
    const { plot } = chart;
    plot.over.addEventListener('click', () => pick(plot));
    plot.over.addEventListener('mouseenter', () => (under = plot));
    plot.over.addEventListener('mouseleave', () => leave(plot));
    values(chart, null);
  };
  const bounds = (spec, low, high) => {
    if (low === null || high === null) return [0, 1];
    const top = spec.most ?? (high > 0 ? high * 1.08 : 1);
    return [Math.min(0, low), Math.max(top, high, 1e-9)];
  };

  // --- moving in time ---
  let aimed = null;
  let click = null;
  const go = (change, how) => {
    const url = address(change);
    if (how === 'replace') history.replaceState(null, '', url);
    else history.pushState(null, '', url);
    load();
    show(url, { asked: false });
  };
  const zoom = (from, to) => {
    clearTimeout(click);
    if (to - from < 60) return;
    go({ from: stamp(from), to: stamp(to), at: null });
  };
  const back = () => {
    clearTimeout(click);
    go({ from: null, to: null, at: null });
  };
  const pick = (plot) => {
    clearTimeout(click);
    if (!moments) return;
    const at = plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, 'x') : null;
    if (at === null || range?.zoomed === at) return;
    // A double click is not two moments.
    click = setTimeout(() => {
      history.replaceState(null, '', address({ at: stamp(at) }));
      for (const chart of charts.values()) chart.plot?.redraw(false);
      show(location.href, { asked: false });
    }, 250);
  };
  box.addEventListener('keydown', (event) => {
    const figure = event.target.closest('.chart');
    const chart = figure && charts.get(figure.dataset.chart);
    if (!chart?.plot || event.target !== figure) return;
    const { plot } = chart;
    const last = plot.data[0].length - 1;
    const at = plot.cursor.idx ?? last;
    const width = held.to - held.from;
    const middle = plot.data[0][at] ?? (held.from + held.to) / 2;
    const step = event.shiftKey ? 10 : 1;
    const aim = { ArrowLeft: at - step, ArrowRight: at + step, Home: 0, End: last }[event.key];
    if (aim !== undefined) {
      const to = Math.max(0, Math.min(last, aim));
      under = plot;
      plot.setCursor({ left: plot.valToPos(plot.data[0][to], 'x'), top: 10 });
      const said = chart.keys.map(({ button, value }) => `${button.dataset.name} ${value.textContent}`).join(', ');
      live.textContent = `${local(new Date(plot.data[0][to] * 1000))}: ${said}`;
    } else if (event.key === '+') zoom(middle - width / 4, middle + width / 4);
    else if (event.key === '-') go({ from: stamp(middle - width), to: stamp(Math.min(middle + width, Date.now() / 1000)), at: null });
    else if (event.key === '0') back();
    else if (event.key === 'Enter') pick(plot);
    else return;
    event.preventDefault();
  });

  box.addEventListener('focusout', () => leave());
  addEventListener('scroll', () => leave(), { passive: true });

  // --- data ---
  const load = async (quiet = false) => {
    wanted?.abort();
    const own = (wanted = new AbortController());
    const params = new URLSearchParams();
    for (const name of ['from', 'to', 'span']) if (asked().has(name)) params.set(name, asked().get(name));
    if (box.dataset.only) params.set('only', box.dataset.only);
    const width = box.querySelector('.plot').clientWidth - 58;
    params.set('points', String(Math.max(50, Math.min(2000, Math.round(width)))));
    const places = [...box.querySelectorAll('.plot')];
    if (!quiet) for (const place of places) place.setAttribute('aria-busy', 'true');
    try {
      const answer = await fetch(`${box.dataset.from}?${params}`, { signal: own.signal, credentials: 'same-origin' });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      held = await answer.json();
      box.querySelector('.notice')?.remove();
      redraw();
    } catch (error) {
      if (error.name === 'AbortError' || quiet) return;
      for (const place of places) place.setAttribute('aria-busy', 'false');
      let notice = box.querySelector('.notice');
      if (!notice) box.prepend((notice = document.createElement('p')));
      notice.className = 'notice';
      notice.setAttribute('role', 'alert');
      notice.textContent = `The charts could not be loaded: ${error.message}. Reload the page to try again.`;
    }
  };
  const redraw = () => {
    if (!held) return;
    range = { from: held.from, to: held.to };
    for (const spec of held.charts) {
      const figure = box.querySelector(`[data-chart="${CSS.escape(spec.id)}"]`);
      if (figure) draw(figure, spec);
    }
    box.dataset.ready = `${held.from}-${held.to}`;
  };

  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a[data-range]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, '', link.href);
    load();
    show(link.href, { asked: false });
  });
  addEventListener('popstate', () => load());
  addEventListener('refresh', () => {
    // What ends in the past does not change.
    if (!asked().has('to') && !document.hidden) load(true);
  });
  addEventListener('themechange', redraw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  let width = box.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(box.clientWidth - width) < 2) return;
    width = box.clientWidth;
    for (const [id, chart] of charts) {
      const place = box.querySelector(`[data-chart="${CSS.escape(id)}"] .plot`);
      chart.plot?.setSize({ width: place.clientWidth, height: place.clientHeight });
    }
  }).observe(box);
  load();
})();
