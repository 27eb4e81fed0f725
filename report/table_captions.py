"""Captions of the filled tables: how our training differs from the paper's."""

from common import compute, recipe, resumed_options
from report import run_setting
from report.finished_runs import REPLACEABLE
from report.paper_tables import EPOCHS, TITLES

# The paper's setting, with which a caption compares ours. Sections 6.2 and 6.5 have most of it, and
# docs/decisions.md the precision and BatchNorm's momentum. What the paper does not mention, such as
# going on after the end of a run, it did not do.
SMALL = {
    **resumed_options.IMPLIED,
    'updates': 'synchronous',
    'gradient_compression': 'none',
    'init_from': 'nothing',
    'epochs_before': 'none',
    'lr': 0.1,
    'batch_size': 64,
    'dtype': 'float32',
    'bn_momentum': 0.99,
}
PHOTOGRAPHS = {**SMALL, 'batch_size': 256, 'image_size': 224, 'augment': 'paper'}
SECTIONS = {6: '6.5', 7: 'a1'}  # of the paper, by the number of a table on photographs


def caption(table):
    """Return what a reader must know about our numbers: epochs, images, other differences."""
    begin = f'Table {table.number}. {TITLES[table.number]}.'
    if not table.filled:
        return f'{begin} No run yet.'
    names = dict.fromkeys(name for name, _ in table.settings)
    ours = ' and '.join(_epochs_on(name, table) for name in names)
    differ = differences_from_paper(table)
    return f'{begin} Ours after {ours}, in brackets the number of runs.' + (
        f' Not as in the paper: {differ}.' if differ else ''
    )


def _epochs_on(name, table):
    """Return "400 epochs on CIFAR-10", with the paper's number of epochs if ours differs."""
    found = [setting for other, setting in table.settings if other == name]
    epochs = sorted({setting['epochs'] for setting in found})
    text = f'{", ".join(map(str, epochs))} epoch{"s" * (epochs != [1])} on '
    if table.stand_in and name in REPLACEABLE:
        text += f'{run_setting.title(found[0])} in place of {run_setting.TITLES[name]}'
    else:
        text += run_setting.TITLES[name]
    as_in_paper = table.number == 7 or epochs == [EPOCHS[name]]
    return text if as_in_paper else f'{text} (the paper: {EPOCHS[name]})'


def differences_from_paper(table):
    """Return in what the training of a table's runs differs from the paper's, as a text.

    Epochs and images are not part of it.
    """
    differences = []
    for name, setting in table.settings:
        section = SECTIONS.get(table.number, '6.2')
        paper_has = dict(SMALL)
        if name == 'imagenet':
            every = recipe.SCHEDULES[section].every
            paper_has = {**PHOTOGRAPHS, 'schedule': section, 'drop_every': every}
        paper_has['devices'], _ = compute.PAPER_DEVICES[section]
        # BatchNorm's statistics are over the images of one device, whosever it is.
        ours = {**setting, 'devices': setting['devices'] * setting['workers']}
        for key, value in paper_has.items():
            if ours.get(key, value) != value:
                differences.append(f'{run_setting.word(key)} {ours[key]} instead of {value}')
        if setting['rollbacks'] != 'none':
            rollbacks = f'before epoch {setting["rollbacks"]}'
            differences.append(f'a rollback lowered the learning rate {rollbacks}')
    return ', '.join(dict.fromkeys(differences))
