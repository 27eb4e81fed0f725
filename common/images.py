"""What an image file says of itself, before a decoder believes it."""
import os
import struct
import zlib

# Before the import: a file of a kilobyte can announce an image of gigabytes.
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(1 << 26))
import cv2  # noqa: E402 -- others take it from here, so that the bound holds

SIGNATURE = b'\x89PNG\r\n\x1a\n'
CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by PNG's colour type
START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's markers


def with_short_side(image, short):
    """Return a decoded image, (height, width, channels), scaled so that its shorter side has ``short`` pixels."""
    scale = short / min(image.shape[:2])
    size = tuple(max(short, round(side * scale)) for side in image.shape[1::-1])
    if size == image.shape[1::-1]:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def shape_of(data):
    """Return (height, width, channels) of a PNG or JPEG file.

    All of a PNG is checked, by the checksums that it has in it; of a JPEG, which has none, header and end.

    Parameters
    ----------
    data : bytes-like

    Raises
    ------
    ValueError
        It is damaged, or something else.
    """
    data = memoryview(data)
    if data[:8] == SIGNATURE:
        return _png(data)
    if data[:2] == b'\xff\xd8':
        return _jpeg(data)
    raise ValueError('it is no PNG or JPEG')


def _png(data):
    at, kinds = len(SIGNATURE), []
    while b'IEND' not in kinds:
        if at + 12 > len(data):
            raise ValueError('the PNG ends too early')
        length, = struct.unpack_from('>I', data, at)
        end = at + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[at + 4:end]) != struct.unpack_from('>I', data, end)[0]:
            raise ValueError('the PNG is damaged')
        kinds.append(bytes(data[at + 4:at + 8]))
        at = end + 4
    if kinds[0] != b'IHDR' or b'IDAT' not in kinds:
        raise ValueError('the PNG is incomplete')
    width, height, _, colour = struct.unpack_from('>IIBB', data, len(SIGNATURE) + 8)
    return height, width, CHANNELS.get(colour, 0)


def _jpeg(data):
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack_from('>H', data, at + 2)[0]
        if marker in START_OF_FRAME:
            # Inside the compressed part 0xFF is followed by 0, so its end cannot be met by chance.
            if b'\xff\xd9' not in bytes(data[at:]):
                raise ValueError('the JPEG ends too early')
            return struct.unpack_from('>HHB', data, at + 5)
        at += 2 + length
    raise ValueError('the JPEG has no size')
