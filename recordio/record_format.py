"""The format of MXNet's record files: how an image is stored with its label, byte by byte."""

import struct

import numpy

MAGIC = 0xCED7230A
FRAME = 8  # bytes in front of a payload: the magic number, and a word of kind and length
LEAST = 24  # bytes in front of an image in its payload: flag, label and two numbers
LENGTH = (1 << 29) - 1  # mask of the length in that word; the kind is above it
# Kinds. A payload that contains the magic number is cut there into several chunks, without it.
WHOLE, FIRST, MIDDLE, LAST = range(4)


def labelled_images(content, offsets):
    """Yield (label, bytes) of the image at each offset of a file, given as an array of bytes."""
    content = memoryview(content)
    for offset in offsets.tolist():
        (word,) = struct.unpack_from('<I', content, offset + 4)
        if word >> 29 == WHOLE:
            payload = content[offset + FRAME : offset + FRAME + (word & LENGTH)]
        else:
            payload = _read_chunks(content, offset)
        yield struct.unpack_from('<f', payload, 4)[0], payload[LEAST:]


def write(file, number, label, image):
    """Append an image to a .rec file, as MXNet's im2rec does.

    Parameters
    ----------
    file : binary file, open for writing
    number : int
        Of the image in the file, from 0.
    label : float
    image : bytes
        A JPEG or PNG file.
    """
    payload, magic = struct.pack('<IfQQ', 0, label, number, 0) + image, struct.pack('<I', MAGIC)
    cuts, at = [], payload.find(magic)
    while at >= 0:
        cuts += [at] * (at % 4 == 0)  # readers look for the magic number in whole words only
        at = payload.find(magic, at + (4 if at % 4 == 0 else 1))
    starts = [0] + [cut + len(magic) for cut in cuts]
    kinds = [FIRST] + [MIDDLE] * (len(cuts) - 1) + [LAST] if cuts else [WHOLE]
    for kind, start, end in zip(kinds, starts, cuts + [len(payload)]):
        file.write(
            magic
            + struct.pack('<I', kind << 29 | end - start)
            + payload[start:end]
            + bytes(-(end - start) % 4)
        )


def _read_chunks(content, offset):
    """Return the payload of a record that is stored in chunks; an empty image if it is damaged."""
    chunks, kind = [], WHOLE
    while kind != LAST:
        magic, word = struct.unpack_from('<II', content, offset)
        kind, length = word >> 29, word & LENGTH
        if (
            magic != MAGIC
            or kind not in ((MIDDLE, LAST) if chunks else (FIRST,))
            or offset + FRAME + length > len(content)
        ):
            return b'\0' * LEAST
        chunks.append(bytes(content[offset + FRAME : offset + FRAME + length]))
        offset += FRAME + (length + 3) // 4 * 4
    return struct.pack('<I', MAGIC).join(chunks)


def words(content, at, dtype):
    """Return the four bytes at each offset as numbers."""
    return content[at[:, None] + numpy.arange(4)].copy().view(dtype)[:, 0]
