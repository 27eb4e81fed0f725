"""TensorBoard's event files: the record of every epoch, in a folder for each run.

tensorboardX writes them, which needs neither TensorFlow nor PyTorch. Its ``EventsWriter`` writes
and syncs at once, while the usual ``SummaryWriter`` has a thread in which errors are lost.
"""

import glob
import importlib
import os
import struct
import sys
import time

from system.errors import describe, missing_package

PACKAGE = 'tensorboardX'
LENGTH, CHECKSUM = 8, 4  # bytes before and behind the content of an event, each with a checksum


def folder(text):
    """Return the folder that ``--tensorboard`` names.

    Raises
    ------
    UserError
        tensorboardX is not installed.
    """
    try:
        importlib.import_module(PACKAGE)
    except ModuleNotFoundError:
        raise missing_package(PACKAGE) from None
    return text


class Events:
    """The event files of a run; every process that trains it adds one.

    Parameters
    ----------
    folder : str
        Folder of the run's event files.
    records : list of dict
        Of the epochs that are done. Those that no event file has yet are added. Events of later
        epochs, which the run will train again, are declared void.
    """

    def __init__(self, folder, records):
        self.folder, self.writer = os.path.abspath(folder), None
        try:
            self._open(records)
        except OSError as error:
            self._give_up(error)

    def _open(self, records):
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        os.makedirs(self.folder, exist_ok=True)
        written = epochs_in(self.folder)
        # The name of the new file has the second, and its number, by which they can be sorted.
        suffix = f'.{len(files_in(self.folder)):04}'
        self.writer = EventsWriter(os.path.join(self.folder, 'events'), suffix)
        if written:
            start = SessionLog(status=SessionLog.START)
            event = Event(wall_time=time.time(), step=len(records) + 1, session_log=start)
            self.writer.write_event(event)
        for record in records:
            if record['epoch'] not in written:
                self.writer.write_event(event_of(record))
        self.writer.flush()

    def add(self, record):
        """Add the record of an epoch. If it cannot be written, say so and let the run go on."""
        if self.writer:
            try:
                self.writer.write_event(event_of(record))
                self.writer.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error):
        self.writer = None
        sys.stderr.write(
            f'no events are written for TensorBoard any more: {describe(error)}; --resume with '
            '--tensorboard adds what is missing\n'
        )


def event_of(record):
    """Return the event of an epoch, with every number of its record."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in numbers_of(record)]
    return Event(wall_time=time.time(), step=record['epoch'], summary=Summary(value=values))


def numbers_of(record):
    """Yield (name, number) for the fields of a record: ``test_without/RRR`` for one of several."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from ((f'{name}/{key}', number) for key, number in value.items())
        elif name not in ('type', 'epoch'):
            yield name, value


def files_in(folder):
    """Return the event files of a folder, the oldest first."""
    return sorted(glob.glob(os.path.join(glob.escape(folder), 'events.out.tfevents.*')))


def epochs_in(folder):
    """Return the epochs that stand in the event files of a folder, as TensorBoard counts them."""
    found = set()
    for path in files_in(folder):
        for event in read(path):
            if event.HasField('session_log'):
                found = {epoch for epoch in found if epoch < event.step}
            elif event.HasField('summary'):
                found.add(event.step)
    return found


def read(path):
    """Yield the events of a file, as far as it is whole."""
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    with open(path, 'rb') as file:
        while len(start := file.read(LENGTH + CHECKSUM)) == LENGTH + CHECKSUM:
            (length,) = struct.unpack('<Q', start[:LENGTH])
            content = file.read(min(length, os.path.getsize(path)))
            if len(content) < length or len(file.read(CHECKSUM)) < CHECKSUM:
                return  # a process was killed while it wrote this
            try:
                yield Event.FromString(content)
            except DecodeError:
                return
