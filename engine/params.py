"""MXNet's .params files of named arrays, read and written without MXNet.

MXNet's own reader trusts a file: a wrong length in it makes MXNet ask for any amount of memory, or
end the process. The reader here checks every length first. The writer uses Python's files, whose
errors say what is wrong, such as a full disk. The bytes are those that ``mx.nd.save`` writes.

The layout, little-endian: uint64 0x112, uint64 0, uint64 number of arrays; for each array uint32
0xF993FAC9, int32 storage (0: dense), int32 axes, int64 for the length of each, int32 device type
and int32 number (1 and 0: CPU), int32 type of the numbers, the numbers; then uint64 number of
names, and for each uint64 length and the name.
"""

import struct

import numpy

FILE, ARRAY, DENSE, CPU = 0x112, 0xF993FAC9, 0, 1
TYPES = ('f4', 'f8', 'f2', 'u1', 'i4', 'i1', 'i8')
MOST_AXES = 8


def write(path, arrays):
    """Write {name: numpy.ndarray}; raises ``OSError`` where the disk does not take it."""
    with open(path, 'wb') as file:
        dump(file, arrays)


def dump(file, arrays):
    """Write {name: numpy.ndarray} to a file that is open for writing bytes."""
    file.write(struct.pack('<3Q', FILE, 0, len(arrays)))
    for array in arrays.values():
        kind = TYPES.index(array.dtype.str[1:])
        file.write(
            struct.pack(
                f'<I2i{array.ndim}q3i', ARRAY, DENSE, array.ndim, *array.shape, CPU, 0, kind
            )
        )
        file.write(numpy.ascontiguousarray(array).data)
    file.write(struct.pack('<Q', len(arrays)))
    for name in arrays:
        encoded = name.encode()
        file.write(struct.pack('<Q', len(encoded)) + encoded)


def read(path):
    """Return {name: numpy.ndarray}, views of the file's bytes.

    Raises
    ------
    ValueError
        The file has another format, or is damaged in a way that can be seen.
    """
    with open(path, 'rb') as file:
        # The beginning first: a file of another kind can be larger than the memory.
        begin = file.read(8)
        if begin != struct.pack('<Q', FILE):
            raise ValueError('it is no file of arrays')
        cursor = _Cursor(begin + file.read())
    _, _, count = cursor.take('3Q')
    # Every array takes bytes, so a wrong count ends at the end of the file.
    arrays = [cursor.array() for _ in range(min(count, len(cursor.content)))]
    names = [cursor.name() for _ in range(min(cursor.take('Q')[0], count + 1))]
    if len(names) != count or len(set(names)) != count or cursor.at != len(cursor.content):
        raise ValueError('it does not have one name for each array')
    return dict(zip(names, arrays))


class _Cursor:
    """Reads through some bytes, and raises ``ValueError`` where it would read beyond them."""

    def __init__(self, content):
        self.content, self.at = content, 0

    def bytes(self, count):
        if not 0 <= count <= len(self.content) - self.at:
            raise ValueError('it ends too early')
        self.at += count
        return memoryview(self.content)[self.at - count : self.at]

    def take(self, kinds):
        return struct.unpack('<' + kinds, self.bytes(struct.calcsize('<' + kinds)))

    def array(self):
        magic, storage, axes = self.take('I2i')
        if (magic, storage) != (ARRAY, DENSE) or not 0 < axes <= MOST_AXES:
            raise ValueError('it holds an array of another kind')
        *shape, _, _, kind = self.take(f'{axes}q3i')
        if not 0 <= kind < len(TYPES) or min(shape) < 0:
            raise ValueError('it holds an array of another kind')
        dtype, size = numpy.dtype('<' + TYPES[kind]), 1
        for length in shape:
            size *= length
        return numpy.frombuffer(self.bytes(size * dtype.itemsize), dtype).reshape(shape)

    def name(self):
        return str(self.bytes(self.take('Q')[0]), 'utf-8')
