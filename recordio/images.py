"""Reading image files that are not to be trusted: they are checked before they are decoded.

A file of a kilobyte can announce an image of gigabytes, and a truncated JPEG decodes to an image
whose lower half is grey. So this module checks the format, the size and the end of a file first,
and the size against ``MOST_PIXELS``. OpenCV's own limit cannot be used: OpenCV reads it when it is
imported, and MXNet may import it earlier.
"""

import contextlib
import io
import os
import re
import stat
import struct
import warnings
import zlib

import cv2  # other files import it from here
import numpy

from system.errors import UserError

MOST_PIXELS = 1 << 26  # 64 megapixels
TOO_LARGE = f'it is too large, it has more than {MOST_PIXELS:,} pixels'
MOST_BYTES = 1 << 28  # of a file: 64 megapixels of four bytes, not compressed
MOST_CHUNKS = 100_000  # of a PNG: 64 megapixels in chunks of 2 kB
MOST_SEGMENTS = 10_000  # of a JPEG
MOST_SCANS = 100  # of a JPEG; the decoder passes over the whole image for each
PILLOW_FORMATS = ('BMP', 'GIF', 'PPM', 'WEBP')
PILLOW_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'RGBX')  # at most 8 bits a channel
# What Pillow raises for damaged files.
PILLOW_ERRORS = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, struct.error)

SIGNATURE = b'\x89PNG\r\n\x1a\n'
CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by PNG's colour type
START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's markers
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
# A marker begins a segment of a JPEG and ends compressed data. Not meant here: 0xFF 0x00, which
# encodes a byte of 0xFF in compressed data; 0x01 and 0xD0 to 0xD7 (restarts), which have no length;
# and the repetitions of 0xFF that may precede a marker.
MARKER = re.compile(rb'\xff([^\x00\x01\xd0-\xd7\xff])')


@contextlib.contextmanager
def one_thread():
    """Let OpenCV compute in a single thread, in this process and in those that it forks.

    OpenCV must not keep threads of its own when a process is forked: the new one does not have
    them, and waits forever when OpenCV ends them there.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def with_short_side(image, short):
    """Scale an image (height, width, channels) to ``short`` pixels on its shorter side."""
    scale = short / min(image.shape[:2])
    size = tuple(max(short, round(side * scale)) for side in image.shape[1::-1])
    if size == image.shape[1::-1]:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def read(path):
    """Return an image file as an array (height, width, 3) of uint8 in BGR, as OpenCV does.

    Raises
    ------
    UserError
        The file cannot be read, is not an image of a known format, or is damaged or too large.
    """
    data = _content(path)
    try:
        return decode(data)
    except ValueError as error:
        raise UserError(
            f'{path} is not an image that can be used, because {error}: name a complete '
            f'PNG or JPEG of at most {MOST_PIXELS >> 20} megapixels'
        ) from None


def _content(path):
    """Return the bytes of a regular file; to read a pipe or a device could block, or never end."""
    try:
        kind = os.stat(path)
        if stat.S_ISDIR(kind.st_mode):
            raise UserError(f'{path} is a folder: name an image file in it')
        if not stat.S_ISREG(kind.st_mode):
            raise UserError(f'{path} is a pipe or a device: save the image as a file first')
        if kind.st_size > MOST_BYTES:
            raise UserError(
                f'{path} is too large, it has more than {MOST_BYTES >> 20} MB: scale the image '
                'down first'
            )
        # Opened by Python, since OpenCV cannot open names outside the locale's encoding.
        with open(path, 'rb') as file:
            return file.read(MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f'{path} is not there: name an image file') from None
    except PermissionError:
        raise UserError(
            f'{path} cannot be read: change its permissions, or name a copy of your own'
        ) from None


def decode(data):
    """Decode an image file to an array (height, width, 3) of uint8 in BGR.

    OpenCV decodes PNG and JPEG. Pillow decodes WebP, BMP, GIF (the first picture) and PPM, since it
    gives the size of these before it decodes them. TIFF is refused: its tiles may be larger than
    the image.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    ValueError
        The file is of another format, damaged, truncated, or has more than ``MOST_PIXELS``.
    """
    if data[:8] != SIGNATURE and data[:2] != b'\xff\xd8':
        return _by_pillow(data)
    shape_of(data)
    try:
        image = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError('it does not decode')
    return image


def _by_pillow(data):
    from PIL import Image, ImageOps  # not at the top, since PNG and JPEG do not need Pillow

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            image = Image.open(io.BytesIO(data), formats=PILLOW_FORMATS)
        except Image.UnidentifiedImageError:
            raise ValueError('it is no PNG, JPEG, WebP, BMP, GIF or PPM') from None
        except Image.DecompressionBombError:  # Pillow's own limit, which is higher
            raise ValueError(TOO_LARGE) from None
        except PILLOW_ERRORS:
            raise ValueError('its header is damaged') from None
        _check_size(*image.size)
        if image.mode not in PILLOW_MODES:
            raise ValueError('it has more than 8 bits a channel, or other colours than RGB')
        try:
            ImageOps.exif_transpose(image, in_place=True)
            rgb = image if image.mode == 'RGB' else image.convert('RGB')
            pixels = numpy.asarray(rgb)
        except PILLOW_ERRORS:
            raise ValueError('it is damaged or ends too early') from None
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def _check_size(width, height):
    if width * height > MOST_PIXELS:
        raise ValueError(TOO_LARGE)
    if not width or not height:
        raise ValueError('it has no pixels')


def shape_of(data):
    """Check a PNG or JPEG file without decoding it and return its (height, width, channels).

    A PNG is checked by the checksums it contains. A JPEG has none; its segments are checked up to
    the end of the image. The time is proportional to the length of the file.

    Parameters
    ----------
    data : bytes-like

    Raises
    ------
    ValueError
        The file is damaged, too large (see ``MOST_PIXELS``), or of another format.
    """
    data = memoryview(data)
    if data[:8] == SIGNATURE:
        shape = _png(data)
    elif data[:2] == b'\xff\xd8':
        shape = _jpeg(data)
    else:
        raise ValueError('it is no PNG or JPEG')
    return shape


def _png(data):
    at, kind, has_pixels = len(SIGNATURE), None, False
    for number in range(MOST_CHUNKS):
        if at + 12 > len(data):
            raise ValueError('the PNG ends too early')
        (length,) = struct.unpack_from('>I', data, at)
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            raise ValueError('the PNG is damaged or ends too early')
        if zlib.crc32(data[at + 4 : end]) != struct.unpack_from('>I', data, end)[0]:
            raise ValueError('the PNG is damaged')
        if (kind == b'IHDR' and length == 13) != (number == 0):
            raise ValueError('the PNG does not begin with its size')
        has_pixels = has_pixels or kind == b'IDAT'
        at = end + 4
        if kind == b'IEND':
            break
    else:
        raise ValueError(f'the PNG has more than {MOST_CHUNKS} chunks')
    if not has_pixels:
        raise ValueError('the PNG is incomplete')
    width, height, _, colour = struct.unpack_from('>IIBB', data, len(SIGNATURE) + 8)
    _check_size(width, height)
    return height, width, CHANNELS.get(colour, 0)


def _jpeg(data):
    """Walk through the segments, which may hold thumbnails, and the compressed data to the end."""
    at, scans, shape = 2, 0, None
    for _ in range(MOST_SEGMENTS):
        found = MARKER.search(data, at)
        marker, at = (found[1][0], found.end()) if found else (None, len(data))
        if marker == END_OF_IMAGE:
            break
        length = struct.unpack_from('>H', data, at)[0] if at + 2 <= len(data) else 2
        if at + length > len(data):
            raise ValueError('the JPEG ends too early')
        if marker in START_OF_FRAME:
            if shape or length < 8:
                raise ValueError('the JPEG is damaged')
            shape = struct.unpack_from('>HHB', data, at + 3)
            _check_size(shape[1], shape[0])
        scans += marker == START_OF_SCAN
        if scans > MOST_SCANS or scans and not shape:
            raise ValueError(f'the JPEG is damaged, or has more than {MOST_SCANS} scans')
        at += length
    else:
        raise ValueError(f'the JPEG has more than {MOST_SEGMENTS} segments')
    if not scans:
        raise ValueError('the JPEG has no image')
    return shape
