"""Run one of MXNet's own tools, prepared for this machine: python -m engine mxnet.tools.im2rec."""

import multiprocessing
import runpy
import sys

from engine import mx
from system.errors import UserError
from system.script import run_main


def pack_img(header, image, quality=95, img_fmt='.jpg'):
    """Return an image as a record, as MXNet's function of that name does.

    MXNet's calls an array's ``tostring``, which NumPy 2.3 no longer has.
    """
    cv2 = mx.recordio.cv2
    is_png = img_fmt.lower() == '.png'
    kind = cv2.IMWRITE_PNG_COMPRESSION if is_png else cv2.IMWRITE_JPEG_QUALITY
    _, encoded = cv2.imencode(img_fmt, image, [kind, quality])
    return mx.recordio.pack(header, encoded.tobytes())


def main():
    if len(sys.argv) < 2:
        raise UserError('name a module of MXNet, for example mxnet.tools.im2rec')
    del sys.argv[0]
    # im2rec's processes inherit what is prepared here. Python 3.14 would start them from nothing.
    multiprocessing.set_start_method('fork')
    mx.recordio.pack_img = pack_img
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    run_main(main)
