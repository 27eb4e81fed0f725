"""Marks at the end of figures and tables, by which the project knows files that it wrote itself.

A mark holds the SHA-256 of the rest of the file: in a PNG it is a chunk before the last one, in
other formats a comment. CSV has no comments; such a file is recognised by its first line. Files of
weights and JSON cannot have a mark, and are recognised only if they would not change.
"""

import hashlib
import os
import struct
import zlib

UNMARKED = ('.onnx', '.safetensors', '.params', '.json')  # a mark would change what they say
MARK = 'Written by Deep Fusion in MXNet; SHA-256 of what precedes this: '
PNG_END = struct.pack('>I', 0) + b'IEND' + struct.pack('>I', zlib.crc32(b'IEND'))  # last chunk


def is_own(path, content):
    """Return whether ``files.write_outputs`` wrote this file and it has not been changed since.

    ``content`` is what is to be written to ``path`` now, without its mark.
    """
    with open(path, 'rb') as file:
        found = file.read()
    if path.endswith(UNMARKED):
        return found == content
    if path.endswith('.csv'):
        return found.split(b'\n')[0] == content.split(b'\n')[0]
    length = len(_mark(path, b''))
    if path.endswith('.png'):
        before = found[: -length - len(PNG_END)] + PNG_END
    else:
        before = found[:-length]
    return found == marked(path, before)


def marked(path, content):
    """Return the content of an output file with the mark added, as its format allows."""
    if path.endswith('.png'):
        before = content[: -len(PNG_END)]
        return before + _mark(path, before) + PNG_END
    return content + _mark(path, content)


def _mark(path, before):
    """Return the mark for a file that begins with the bytes ``before``; b'' if it has none."""
    text = (MARK + hashlib.sha256(before).hexdigest()).encode()
    ending = os.path.splitext(path)[1]
    if ending in UNMARKED:
        return b''
    if ending == '.png':
        chunk = b'tEXt' + b'Software\0' + text
        return struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk))
    return {
        '.csv': b'',
        '.pdf': b'%% %s\n' % text,
        '.tex': b'%% %s\n' % text,
        '.svg': b'<!-- %s -->\n' % text,
        '.md': b'<!-- %s -->\n' % text,
        '.html': b'<!-- %s -->\n' % text,
    }[ending]
