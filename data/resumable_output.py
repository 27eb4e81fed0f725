"""The files of a split of photographs while they are written, which a later run can continue."""

import json
import os
from collections import Counter

from data.dataset_files import PHOTOGRAPH_ENDINGS, PROGRESS
from recordio import record_format
from system import files, schema
from system.errors import UserError, printable

EVERY = 2000  # images after which the progress is saved

_COUNT = {'type': 'integer', 'minimum': 0}
_parse_progress = schema.checker(
    {
        'type': 'object',
        'required': ['identity', 'taken', 'written', 'missing', 'lengths'],
        'properties': {
            'identity': {'type': 'string'},
            'taken': _COUNT,
            'written': _COUNT,
            'missing': {
                'type': 'object',
                'patternProperties': {'^[0-9]{1,6}$': _COUNT},
                'additionalProperties': False,
            },
            'lengths': {
                'type': 'array',
                'items': _COUNT,
                'minItems': len(PHOTOGRAPH_ENDINGS),
                'maxItems': len(PHOTOGRAPH_ENDINGS),
            },
        },
    }
)


BEGINNING = {
    'identity': '',
    'taken': 0,
    'written': 0,
    'missing': {},
    'lengths': [0] * len(PHOTOGRAPH_ENDINGS),
}


class Output:
    """The four files of a split, and a file with the progress, from which the next run continues.

    Parameters
    ----------
    prefix : str
        Path of the files without their endings.
    identity : str
        Digest of what is converted. Files of another one are begun again.
    """

    def __init__(self, prefix, identity):
        self.path, self.identity = prefix + PROGRESS, identity
        progress = _read_progress(prefix)
        if progress['identity'] != identity:
            progress = BEGINNING
            # Before the files change: their old lengths would be taken for those of new content.
            files.remove(self.path)
            files.sync_folder(os.path.dirname(os.path.abspath(prefix)))
        self.taken = progress['taken']  # number of entries that are done
        self.written = progress['written']  # number of images in the .rec file
        # By label, the number of images that could not be read.
        self.missing = Counter({int(label): n for label, n in progress['missing'].items()})
        self.files = [open(prefix + ending, 'ab') for ending in PHOTOGRAPH_ENDINGS]
        for file, length in zip(self.files, progress['lengths']):
            file.truncate(length)
            file.seek(length)  # for ``tell``; a file in append mode is written at its end anyway

    def add(self, entry, jpeg, note):
        """Write an image and its lines in the other files, given the result of ``scaled``."""
        rec, idx, lst, reported = self.files
        if note:
            reported.write(f'{printable(entry.name)}\t{note}\n'.encode())
        if jpeg is None:
            self.missing[entry.label] += 1
        else:
            idx.write(b'%d\t%d\n' % (self.written, rec.tell()))
            # ``printable``, since a name may contain a line break.
            lst.write(f'{self.written}\t{entry.label:f}\t{printable(entry.name)}\n'.encode())
            record_format.write(rec, self.written, entry.label, jpeg)
            self.written += 1
        self.taken += 1
        if self.taken % EVERY == 0:
            self.save_progress()

    def save_progress(self):
        """Sync the files to the disk, and then save how far they have come."""
        for file in self.files:
            file.flush()
            os.fsync(file.fileno())
        files.write_text(
            self.path,
            json.dumps(
                {
                    'identity': self.identity,
                    'taken': self.taken,
                    'written': self.written,
                    'missing': self.missing,
                    'lengths': [file.tell() for file in self.files],
                }
            ),
        )

    def close(self):
        for file in self.files:
            file.close()


def check_same(prefix, identity):
    """Raise ``UserError`` if the files are those of a conversion of something else."""
    progress = _read_progress(prefix)
    if progress['taken'] and progress['identity'] != identity:
        raise UserError(
            f'{os.path.dirname(prefix)} holds {progress["taken"]} images of an unfinished '
            'conversion of other files, or to another --short-side: repeat its command to go on '
            'with it, or add --force to drop it'
        )


def _read_progress(prefix):
    """Return the saved progress if a run can continue from it, else that of a beginning."""
    try:
        with open(prefix + PROGRESS, encoding='utf-8') as file:
            progress = _parse_progress(file.read())
        complete = all(
            os.path.getsize(prefix + ending) >= length
            for ending, length in zip(PHOTOGRAPH_ENDINGS, progress['lengths'])
        )
    except (OSError, ValueError):  # there is no progress, or it is damaged
        return BEGINNING
    return progress if complete else BEGINNING
