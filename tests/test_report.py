"""The page about runs: what it says, and what it does in a real Chromium."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import log_files
import numpy
import pytest
import training_runs
from browser import PROGRAM, Browser
from scripts import ROOT, run_script, user_error

import launch
import train_cifar
import train_imagenet
from common import log, options
from report import run_rows
from study import train_ensemble

HOSTILE = '</script><script>document.title="run"</script><img src="//x.invalid/a" onerror=alert(1)>'
WIDTHS, EPOCHS = (390, 1280), 12
PAPER = 1032  # pixels of a landscape page without its margins
SCHEMES = [(width, dark) for width in WIDTHS for dark in (False, True)]
COMMITTED = [
    'logs/results/fashion-mnist-mr-14-20261125-143514.jsonl',
    'logs/photographs-mr44-20261123-232613.jsonl',
    'logs/photographs-resnet101-20261123-225150.jsonl',
]
POINT = r'([\d.]+) ([\d.]+)'
PAGE_ONLY = {'resume', *options.FOLDERS}


def curve(last):
    """Return records whose test error falls to ``last``."""
    return [
        log_files.record(
            last + EPOCHS - epoch, train_loss=2 / epoch, images_per_second=100.0 * epoch
        )
        for epoch in range(1, EPOCHS + 1)
    ]


def write_logs(folder):
    """Write logs of two settings with three seeds, of a run that goes on, and a hostile one."""
    for number, error in enumerate((6.0, 6.3, 6.9), 1):
        log_files.write(folder, 'mr', 14, curve(error), seed=number)
        log_files.write(folder, 'resnet', 26, curve(error + 0.5), seed=number)
    log_files.write(folder, 'ensemble8', 26, curve(7.0)[:4], seed=1, epochs=EPOCHS)
    path = log_files.write(folder, 'il', 14, curve(9.0), seed=1)
    header, *records = map(json.loads, open(path))
    # The name of a run is one of files, and a log with a slash in it is refused.
    name = HOSTILE.replace('/', '|')
    header.update(run=name, processor=f'<b>{HOSTILE}', versions={HOSTILE: [HOSTILE]})
    header['options'].update(dataset=HOSTILE[:99] + '\u202e\ufffe$', network=HOSTILE, odd=HOSTILE)
    log_files.save(path, header, records)


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """The path of a page about such logs."""
    folder = tmp_path_factory.mktemp('report')
    write_logs(folder / 'logs')
    run_script('study/report.py', folder / 'logs', '--out', folder / 'report.html')
    return folder / 'report.html'


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    if not PROGRAM:
        pytest.skip('Chromium is not installed')
    with Browser(tmp_path_factory.mktemp('chromium')) as browser:
        yield browser


def texts(browser, column):
    """Return the texts of a column of the table of runs, without small print."""
    return browser.run(
        '[...document.querySelectorAll("table.runs tbody tr")].map((row) => '
        f'row.cells[{column}].innerText.split("\\n")[0].split(" ")[0])'
    )


# ---- what the page says ----


def test_a_row_has_mean_and_deviation_of_its_runs(page):
    rows = re.findall('<tr>\n(.*?)</tr>', page.read_text().split('<table class="runs">')[1], re.S)
    cells = [re.sub('<[^>]+>', '', row).split('\n') for row in rows]
    (mr,) = [row for row in cells if row[0] == 'DFN-MR']
    deviation = numpy.std([6.0, 6.3, 6.9], ddof=1)
    assert mr[1:9] == [
        *('CIFAR-10', '14', '349,402', '1, 2, 3', '6.40', f'{deviation:.2f}', '12', '650.0')
    ]
    (running,) = [row for row in cells if row[0] == 'Ensemble-8']
    assert running[5:8] == ['15.00 so far', '–', '4 of 12']


def test_tables_have_ours_beside_the_papers(page):
    table = page.read_text().split('<details id="table-4" open>')[1].split('</table>')[0]
    row = table.split('<th scope="row">26/14</th>')[1].split('</tr>')[0]
    cells = re.sub('</?(td|strong|span)[^>]*>', '|', row)
    assert re.findall(r'[^|]+', cells)[1:3] == ['6.90 ± 0.46 (3)', '6.62 ± 0.24']
    assert page.read_text().count('<details id="table-') == 7


def test_runs_of_two_lengths_fill_no_table_but_with_epochs(tmp_path):
    """ResNet of depth 26 is trained for one epoch and for two, as the study trains it."""
    for errors in ((8.0,), (9.0, 7.0)):
        log_files.write(tmp_path / 'logs', 'resnet', 26, list(map(log_files.record, errors)))
    out = tmp_path / 'report.html'
    run_script('study/report.py', tmp_path / 'logs', '--out', out)
    assert 'Not filled, because ' in out.read_text() and '7.00 (1)' not in out.read_text()
    run_script('study/report.py', tmp_path / 'logs', '--epochs', 2, '--out', out)
    assert 'Not filled, because ' not in out.read_text() and '7.00 (1)' in out.read_text()
    assert 'so many epochs; they have 1, 2' in user_error(
        'study/report.py', tmp_path / 'logs', '--epochs', 3, '--out', out
    )


@pytest.mark.parametrize('path', COMMITTED)
def test_the_command_repeats_a_run(path):
    header, _ = log.read(os.path.join(ROOT, path))
    words = shlex.split(run_rows.command(header))
    if header['options']['network'] == 'mr-relu':  # nothing trains it any more
        assert words == []
        return
    module = {'train_cifar.py': train_cifar, 'train_imagenet.py': train_imagenet}[words[1]]
    again = vars(module.parse_args(words[2:]))
    for name, value in header['options'].items():
        assert name in PAGE_ONLY or again[name] == value, name


@pytest.mark.parametrize(
    'given', ['--depth 38 --no-sharing --gpus 0,2', '--component LLR', '--without RRR --seed 4']
)
def test_the_command_repeats_an_ensemble(given):
    options = vars(train_ensemble.parse_args(given.split()))
    header = {'options': options, 'script': 'train_ensemble.py'}
    words = shlex.split(run_rows.command(header))
    assert words[:2] == ['python', 'study/train_ensemble.py']
    assert vars(train_ensemble.parse_args(words[2:])) == options


def test_the_commands_of_a_run_that_went_on():
    options = vars(train_cifar.parse_args(['--epochs', '12', '--quiet']))
    header = {'options': dict(options, epochs_before=[4, 8]), 'script': 'train_cifar.py'}
    first, *more = run_rows.command(header).split(' && ')
    assert train_cifar.parse_args(shlex.split(first)[2:]).epochs == 4
    assert more == [f'python train_cifar.py --resume RUN --epochs {epochs}' for epochs in (8, 12)]


def test_logs_that_cannot_be_read_are_left_out(tmp_path):
    good = log_files.write(tmp_path, 'mr', 14, curve(6.0))
    (tmp_path / 'bad.jsonl').write_text('no log\n')
    out = tmp_path / 'report.html'
    run_script('study/report.py', good, tmp_path / 'bad.jsonl', '--out', out)
    assert 'bad.jsonl does not begin with the header' in out.read_text()
    out.write_text('mine')
    assert '--overwrite' in user_error('study/report.py', good, '--out', out)
    assert out.read_text() == 'mine'
    said = user_error('study/report.py', tmp_path / 'bad.jsonl', '--out', out)
    assert 'does not begin with the header' in said
    assert 'ends in .html' in user_error('study/report.py', good, '--out', tmp_path / 'r.htm')


# ---- what it does in a browser ----

# The least contrast, by WCAG's formula, of any text with the colour behind it, and of the curves.
CONTRAST = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => channels(colour).slice(0, 3).map((each) => each / 255)
    .map((each) => each <= .03928 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4)
    .reduce((sum, each, index) => sum + each * [.2126, .7152, .0722][index], 0);
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + .05) / (low + .05);
  };
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return channels(colour)[3] || !element.parentElement ? colour : behind(element.parentElement);
  };
  document.querySelectorAll('details').forEach((each) => { each.open = true; });
  const hasText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim();
  const texts = [...document.body.querySelectorAll('*')]
    .filter((each) => each.checkVisibility() && [...each.childNodes].some(hasText));
  const colourOf = (each) => getComputedStyle(each)[each.closest('svg') ? 'fill' : 'color'];
  const lines = [...document.querySelectorAll('svg [id*=line2d] path[style*=stroke]')]
    .filter((each) => /var\\(--c(?!b0b0b0)/.test(each.getAttribute('style')));
  return [texts.length, Math.min(...texts.map((each) => ratio(colourOf(each), behind(each)))),
    lines.length,
    Math.min(...lines.map((each) => ratio(getComputedStyle(each).stroke, behind(each))))];
})()"""


@pytest.mark.parametrize('width,dark', SCHEMES)
def test_it_fits_the_window_and_can_be_read(page, browser, width, dark):
    browser.show(width, dark)
    browser.open(page)
    assert browser.run('document.documentElement.scrollWidth') == width
    count, of_texts, curves, of_curves = browser.run(CONTRAST)
    assert count > 300 and curves > 8
    assert of_texts >= 4.5 and of_curves >= 3
    assert browser.run('document.documentElement.scrollWidth') == width
    assert (browser.run('matchMedia("(prefers-color-scheme: dark)").matches')) == dark


def test_nothing_of_a_log_is_run_and_nothing_is_loaded(page, browser):
    browser.show(1280)
    browser.open(page)
    assert browser.run('document.title') == '8 training runs'
    assert browser.run('document.querySelectorAll("img, b, script:not([type])").length') == 1
    assert HOSTILE in browser.run('document.body.innerText')
    requests = [
        event['params']['request']['url']
        for event in browser.events
        if event['method'] == 'Network.requestWillBeSent'
    ]
    assert [url for url in requests if not url.startswith('data:')] == [f'file://{page}']
    wrong = ('Log.entryAdded', 'Runtime.exceptionThrown', 'Page.javascriptDialogOpening')
    assert [event for event in browser.events if event['method'] in wrong] == []
    # Were a text of a log ever taken for a script, the page's policy would not let it run.
    browser.run(
        'document.body.append(Object.assign(document.createElement("script"), '
        '{textContent: "document.title = 1"}))'
    )
    assert browser.run('document.title') == '8 training runs'


def test_the_keyboard_sorts_the_table(page, browser):
    browser.show(390)
    browser.open(page)
    header = 'document.activeElement.closest("th")?.innerText.split(" ")[0]'
    for _ in range(20):
        browser.press('Tab', 9)
        if browser.run(header) == 'test':
            break
    errors = texts(browser, 5)
    for key, code, text, how in (
        ('Enter', 13, '\r', 'ascending'),
        (' ', 32, ' ', 'descending'),
        ('Enter', 13, '\r', 'ascending'),
    ):
        browser.press(key, code, text)
        assert texts(browser, 5) == sorted(errors, key=float, reverse=how == 'descending')
        assert browser.run('document.activeElement.closest("th").ariaSort') == how
        arrow = browser.run('getComputedStyle(document.activeElement, "::after").content')
        assert arrow == {'ascending': '" ↑"', 'descending': '" ↓"'}[how]
    browser.run('document.getElementById("sort-6").click()')
    assert texts(browser, 6) == ['0.46', '0.46', '–', '–']  # what is not known is last
    browser.run('document.getElementById("sort-0").click()')
    assert texts(browser, 0)[1:] == ['DFN-MR', 'Ensemble-8', 'ResNet']


def test_values_under_the_pointer_and_by_the_keyboard(page, browser):
    browser.show(1280)
    browser.open(page)
    figure = 'document.querySelector("[aria-label*=\'ResNet after\'][aria-label*=loss]")'
    browser.run(f'{figure}.scrollIntoView()')
    left, top, width, height = browser.run(
        f'(({{left, top, width, height}}) => [left, top, width, height])'
        f'({figure}.getBoundingClientRect())'
    )
    box, limits = browser.run(
        f'(([{{box, x}}]) => [box, x])(JSON.parse({figure}.parentElement.dataset.axes))'
    )
    scale = width / browser.run(f'{figure}.querySelector("svg").viewBox.baseVal.width')
    share = (3 - limits[0]) / (limits[1] - limits[0])
    x = left + scale * (box[0] + share * (box[1] - box[0]))
    browser.call('Input.dispatchMouseEvent', type='mouseMoved', x=x, y=top + height / 2)
    shown = browser.run(f'{figure}.querySelector(".readout").innerText')
    assert re.split(r'[\t\n]', shown) == [
        *('epoch 3', 'training loss', 'test error'),
        *('ResNet', '0.667 (0.667–0.667)', '15.90 (15.50–16.40)'),
        *('DFN-MR', '0.667 (0.667–0.667)', '15.40 (15.00–15.90)'),
        *('Ensemble-8', '0.667', '16.00'),
    ]
    dots, corners = browser.run(
        '((svg) => [[...svg.querySelectorAll("circle")].map((each) => '
        '[+each.getAttribute("cx"), +each.getAttribute("cy")]), '
        '[...svg.querySelectorAll("[id*=line2d] > path")].map((each) => each.getAttribute("d"))])'
        f'({figure}.querySelector("svg"))'
    )
    corners = {tuple(map(float, each)) for path in corners for each in re.findall(POINT, path)}
    assert len(dots) == 6
    for dot in dots:  # on the curves that matplotlib has drawn
        assert min(numpy.hypot(*numpy.subtract(dot, corner)) for corner in corners) < 0.05
    finger = [{'x': x, 'y': top + height / 2}]
    browser.call('Input.dispatchTouchEvent', type='touchStart', touchPoints=finger)
    browser.call('Input.dispatchTouchEvent', type='touchEnd', touchPoints=[])
    assert browser.run(f'{figure}.querySelector(".readout").hidden') is False
    browser.run(f'{figure}.parentElement.querySelector("input").focus()')
    for _ in range(2):
        browser.press('ArrowRight', 39)
    spoken = browser.run('document.activeElement.ariaValueText')
    # The ensemble has four epochs.
    assert spoken.startswith('epoch 5: ResNet, training loss 0.400 (0.400–0.400), test error 13.90')
    assert 'DFN-MR' in spoken and 'Ensemble-8' not in spoken


def test_a_screen_reader_finds_names_for_everything(page, browser):
    browser.open(page)
    nodes = browser.call('Accessibility.getFullAXTree')['nodes']
    found = {}
    for node in nodes:
        if not node['ignored']:
            name = node.get('name', {}).get('value', '').strip()
            found.setdefault(node['role']['value'], []).append(name)
    for role in ('button', 'slider', 'image', 'region', 'table', 'link', 'heading'):
        assert found[role] and all(found[role]), role
    assert len(found['columnheader']) >= 10 and 'main' in found and 'navigation' in found
    assert sum(name.startswith('Curves over the epochs') for name in found['image']) == 4


def test_paper_has_everything(page, browser):
    """Parts that are closed on the screen are printed too."""
    browser.show(390)
    browser.open(page)
    browser.run('document.querySelectorAll("details").forEach((each) => { each.open = false; })')
    printed = browser.run(
        '(() => { dispatchEvent(new Event("beforeprint"));'
        'const open = [...document.querySelectorAll("details")].every((each) => each.open);'
        'dispatchEvent(new Event("afterprint")); return open; })()'
    )
    assert printed and browser.run('document.querySelectorAll("details:not([open])").length') > 8
    browser.show(PAPER)
    browser.call('Emulation.setEmulatedMedia', media='print')
    browser.run('document.querySelectorAll("details").forEach((each) => { each.open = true; })')
    widths = browser.run(
        '[...document.querySelectorAll(".wide table")].map((each) => each.scrollWidth)'
    )
    browser.call('Emulation.setEmulatedMedia', media='')
    assert len(widths) == 8 and max(widths) <= PAPER


def test_watching_renews_the_page_and_keeps_what_the_reader_chose(tmp_path, browser):
    folder, out = tmp_path / 'logs', tmp_path / 'report.html'
    log_files.write(folder, 'mr', 14, curve(6.0))
    path = log_files.write(folder, 'plain', 26, curve(8.0)[:3], epochs=EPOCHS)
    process = subprocess.Popen(
        [sys.executable, 'study/report.py', folder, '--out', out, '--watch'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert 'is renewed when a log changes' in process.stdout.readline()
        browser.show(390)
        clock = browser.call(
            'Page.addScriptToEvaluateOnNewDocument',
            source='const slow = setInterval; setInterval = (call, time) => slow(call, time / 5)',
        )
        browser.open(out)
        browser.run('document.getElementById("live").click()')  # the reader makes it wait
        browser.run('document.getElementById("sort-5").click()')
        browser.run('document.getElementById("table-7").open = true')
        browser.run('scrollTo(0, 1500)')
        assert '3 of 12' in browser.run('document.querySelector("table.runs").innerText')
        log.append(path, {**curve(1.0)[-1], 'epoch': 4})
        other = log_files.write(folder, 'plain', 32, curve(2.0))
        end = time.time() + 60
        while '>2.00<' not in out.read_text():
            assert process.poll() is None and time.time() < end
            time.sleep(0.1)
        browser.call('Page.removeScriptToEvaluateOnNewDocument', **clock)
        browser.events.clear()
        browser.run(
            'document.getElementById("sort-5").focus({preventScroll: true});'
            'document.getElementById("live").click()'
        )
        browser.wait('Page.loadEventFired')
        assert texts(browser, 5)[:2] == ['1.00', '2.00']  # sorted as before
        assert browser.run('scrollY') == 1500
        assert browser.run('document.activeElement.id') == 'sort-5'
        assert browser.run('document.getElementById("table-7").open')
        os.remove(other)
    finally:
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and 'is as the logs are now' in said and errors == ''
    assert 'data-reload' not in out.read_text() and '>2.00<' not in out.read_text()
    assert sorted(os.listdir(tmp_path)) == ['logs', 'report.html']


@pytest.mark.slow
def test_a_real_run_is_followed(tmp_path, fashion):
    """Its page has every epoch and the processor, and the command trains the same again."""
    training_runs.small_cifar(tmp_path, fashion, train=95, test=40)
    run_script(*training_runs.arguments(tmp_path))
    run_script('study/report.py', tmp_path / 'logs', '--out', tmp_path / 'report.html')
    text = (tmp_path / 'report.html').read_text()
    (path,) = (tmp_path / 'logs').glob('*.jsonl')
    header, records = log.read(str(path))
    assert f'{records[-1]["test_error"]:.2f}' in text and header['processor'] in text
    command = shlex.split(run_rows.command(header))
    run_script(*command[1:])
    first, second = sorted((tmp_path / 'logs').glob('*.jsonl'))
    assert training_runs.records_of(first) == training_runs.records_of(second)


def test_the_command_of_a_run_with_several_workers():
    options = vars(train_cifar.parse_args(['--kv-store', 'dist_sync', '--epochs', '12']))
    header = {'options': options, 'script': 'train_cifar.py', 'workers': 4}
    words = shlex.split(run_rows.command(header))
    job = launch.parse_args(words[2:])
    assert words[:2] == ['python', 'launch.py']
    assert (job.workers, job.command[0]) == (4, 'train_cifar.py')
    assert vars(train_cifar.parse_args(job.command[1:])) == options
