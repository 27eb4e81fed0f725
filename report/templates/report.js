'use strict';
// What the page does without a network: sorting, values on the figures, and loading itself again.

const STORE = 'dfn-report ' + location.pathname;
const state = recall();

function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE)) || {};
  } catch {
    return {};  // the browser forbids storage, or it holds something else
  }
}

// ---- the table of runs ----

const table = document.querySelector('table.runs');
const headers = [...table.tHead.rows[0].cells];
const original = [...table.tBodies[0].rows];

function sortBy(column, direction) {
  const numeric = headers[column].classList.contains('number');
  const key = (row) => row.cells[column].dataset.sort;
  const unknown = (row) => key(row) === '–';
  const compare = (a, b) => numeric ? key(a) - key(b)
    : key(a).localeCompare(key(b), 'en', {numeric: true});
  const rows = [...original].sort((a, b) =>
    unknown(a) - unknown(b) || (unknown(a) ? 0 : direction * compare(a, b)));
  table.tBodies[0].append(...rows);
  headers.forEach((header) => header.removeAttribute('aria-sort'));
  headers[column].setAttribute('aria-sort', direction > 0 ? 'ascending' : 'descending');
  state.sort = [column, direction];
}

headers.forEach((header, column) => header.querySelector('button').addEventListener('click', () =>
  sortBy(column, header.getAttribute('aria-sort') === 'ascending' ? -1 : 1)));

// ---- values on the figures ----

const WORDS = {train_loss: 'training loss', train_error: 'training error', test_error: 'test error'};
const SVG = 'http://www.w3.org/2000/svg';

function numberOf(key, value) {
  return key.endsWith('error') ? value.toFixed(2) : value.toPrecision(3);
}

function textOf(key, [mean, low, high], epoch) {
  const shown = (values) => numberOf(key, values[epoch - 1]);
  return shown(mean) + (low ? ` (${shown(low)}–${shown(high)})` : '');
}

function draw(kind, attributes, parent) {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
}

function addRow(table, cells) {
  const row = table.insertRow();
  for (const cell of cells) row.insertCell().append(...cell);
}

document.querySelectorAll('figure[data-axes]').forEach((figure) => {
  const axes = JSON.parse(figure.dataset.axes);
  const curves = JSON.parse(document.getElementById(figure.dataset.curves).textContent);
  const frame = figure.querySelector('.frame'), svg = frame.querySelector('svg');
  const slider = figure.querySelector('input'), output = figure.querySelector('output');
  const readout = figure.querySelector('.readout');
  const marks = document.createElementNS(SVG, 'g');
  svg.append(marks);
  const width = svg.viewBox.baseVal.width;
  const place = ({x, box}, epoch) => box[0] + (epoch - x[0]) / (x[1] - x[0]) * (box[1] - box[0]);

  const isReached = (curve, epoch) => epoch <= curve.values.test_error[0].length;

  function describe(epoch) {
    slider.value = epoch;
    output.textContent = epoch;
    const texts = curves.filter((curve) => isReached(curve, epoch)).map((curve) =>
      curve.label + axes.flatMap(({keys}) => keys).map((key) =>
        `, ${WORDS[key]} ${textOf(key, curve.values[key], epoch)}`).join(''));
    slider.setAttribute('aria-valuetext', `epoch ${epoch}: ${texts.join('; ')}`);
  }

  function mark(epoch) {
    marks.replaceChildren();
    for (const axis of axes) {
      const {box, y} = axis, x = place(axis, epoch);
      draw('line', {x1: x, x2: x, y1: box[2], y2: box[3],
        stroke: 'currentColor', 'stroke-width': .6, 'stroke-dasharray': '2 2'}, marks);
      for (const key of axis.keys) for (const curve of curves) {
        if (!isReached(curve, epoch)) continue;
        const share = (curve.values[key][0][epoch - 1] - y[0]) / (y[1] - y[0]);
        draw('circle', {cx: x, cy: box[2] + share * (box[3] - box[2]), r: 2.2,
          stroke: 'var(--back)', 'stroke-width': .6, style: `fill: ${curve.colour}`}, marks);
      }
    }
  }

  function show(epoch) {
    describe(epoch);
    mark(epoch);
    const keys = axes.flatMap((axis) => axis.keys), values = document.createElement('table');
    addRow(values, [[`epoch ${epoch}`], ...keys.map((key) => [WORDS[key]])]);
    for (const curve of curves.filter((each) => isReached(each, epoch))) {
      const dot = document.createElement('i');
      dot.style.background = curve.colour;
      addRow(values, [[dot, curve.label],
        ...keys.map((key) => [textOf(key, curve.values[key], epoch)])]);
    }
    readout.replaceChildren(values);
    readout.hidden = false;
    const scale = frame.clientWidth / width, x = place(axes[0], epoch) * scale;
    const room = frame.clientWidth - readout.offsetWidth;
    const beside = x > frame.clientWidth / 2 ? x - readout.offsetWidth - 10 : x + 10;
    readout.style.left = `${Math.max(0, Math.min(room, beside))}px`;
    readout.style.top = `${axes[0].box[3] * scale + 4}px`;
  }

  function hide() {
    readout.hidden = true;
    marks.replaceChildren();
  }

  function showUnder(event) {
    const x = (event.clientX - frame.getBoundingClientRect().left) * width / frame.clientWidth;
    const {x: limits, box} = axes[0];
    const epoch = Math.round(limits[0] + (x - box[0]) / (box[1] - box[0]) * (limits[1] - limits[0]));
    show(Math.max(1, Math.min(+slider.max, epoch)));
  }

  frame.addEventListener('pointermove', showUnder);
  frame.addEventListener('pointerdown', showUnder);
  // A finger leaves as soon as it is lifted: then the values stay until it touches another place.
  frame.addEventListener('pointerleave', (event) =>
    event.pointerType === 'touch' || slider === document.activeElement || hide());
  addEventListener('pointerdown', (event) => figure.contains(event.target) || hide());
  slider.addEventListener('input', () => show(+slider.value));
  slider.addEventListener('focus', () => show(+slider.value));
  slider.addEventListener('blur', hide);
  describe(+slider.value);
});

// ---- parts that are closed ----

function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === 'DETAILS') target.open = true;
}
addEventListener('hashchange', openTarget);

let closed = [];
addEventListener('beforeprint', () => {
  closed = [...document.querySelectorAll('details:not([open])')];
  closed.forEach((each) => { each.open = true; });
});
addEventListener('afterprint', () => closed.forEach((each) => { each.open = false; }));

// ---- loading again: what the reader had chosen stays ----

const nameOf = (details) => details.dataset.name || details.id;
const live = document.getElementById('live');

function remember() {
  state.scroll = [scrollX, scrollY];
  state.open = {};
  document.querySelectorAll('details').forEach((each) => { state.open[nameOf(each)] = each.open; });
  state.sideways = {};
  document.querySelectorAll('.wide').forEach((each) => { state.sideways[each.id] = each.scrollLeft; });
  state.sliders = {};
  document.querySelectorAll('input[type=range]').forEach((each) => {
    if (each.value !== each.max) state.sliders[each.id] = each.value;
  });
  state.focus = document.activeElement.id;
  if (live) state.live = live.checked;
  try {
    sessionStorage.setItem(STORE, JSON.stringify(state));
  } catch {
    // The browser forbids storage: the page begins anew.
  }
}

function restore() {
  document.querySelectorAll('details').forEach((each) => {
    if (state.open && nameOf(each) in state.open) each.open = state.open[nameOf(each)];
  });
  if (state.sort && headers[state.sort[0]]) sortBy(...state.sort);
  document.querySelectorAll('input[type=range]').forEach((each) => {
    each.value = (state.sliders || {})[each.id] || each.max;
  });
  if (live && 'live' in state) live.checked = state.live;
  const focused = state.focus && document.getElementById(state.focus);
  if (focused) focused.focus({preventScroll: true});
  document.querySelectorAll('.wide').forEach((each) => {
    each.scrollLeft = (state.sideways || {})[each.id] || 0;
  });
  if (state.scroll) scrollTo(...state.scroll);
  else openTarget();
}

history.scrollRestoration = 'manual';
addEventListener('pagehide', remember);
restore();

const seconds = +document.documentElement.dataset.reload;
let waited = 0;
// Not while the page is hidden or text is selected in it.
if (seconds) setInterval(() => {
  waited += 1;
  const busy = document.hidden || !getSelection().isCollapsed || !live.checked;
  if (waited >= seconds && !busy) location.reload();
}, 1000);
