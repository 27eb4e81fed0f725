"""Marks at the end of figures and tables, by which the project knows files that it wrote itself.

A mark holds the SHA-256 of the rest of the file: in a PNG it is a chunk before the last one, in
other formats a comment. CSV has no comments, so the SHA-256 of such a file is in a hidden file
beside it. Files of weights and JSON have no mark, and are recognised only if they would not change.
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
        return _noted(path) == _digest(found)
    length = len(_mark(path, b''))
    if path.endswith('.png'):
        before = found[: -length - len(PNG_END)] + PNG_END
    else:
        before = found[:-length]
    return found == marked(path, before)


def note(path, content):
    """Return {path: content} of the hidden file beside a CSV with this content, {} for others."""
    return {_note_path(path): _digest(content)} if path.endswith('.csv') else {}


def _note_path(path):
    folder, name = os.path.split(os.path.realpath(path))
    return os.path.join(folder, f'.{name}.dfn-sha256')


def _noted(path):
    """Return what the hidden file beside a CSV says, b'' without one."""
    try:
        with open(_note_path(path), 'rb') as file:
            return file.read()
    except OSError:
        return b''


def _digest(content):
    return hashlib.sha256(content).hexdigest().encode()


def marked(path, content):
    """Return the content of an output file with the mark added, as its format allows."""
    if path.endswith('.png'):
        before = content[: -len(PNG_END)]
        return before + _mark(path, before) + PNG_END
    return content + _mark(path, content)


def _mark(path, before):
    """Return the mark for a file that begins with the bytes ``before``; b'' if it has none.

    The file is a PNG, PDF or SVG, or of LaTeX, Markdown or HTML.
    """
    text = (MARK + hashlib.sha256(before).hexdigest()).encode()
    if path.endswith((*UNMARKED, '.csv')):
        return b''
    if path.endswith('.png'):
        chunk = b'tEXt' + b'Software\0' + text
        return struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk))
    if path.endswith(('.pdf', '.tex')):
        return b'%% %s\n' % text
    if path.endswith(('.svg', '.md', '.html')):
        return b'<!-- %s -->\n' % text
    raise ValueError(f'{path}: no mark is known for a file of this ending')
