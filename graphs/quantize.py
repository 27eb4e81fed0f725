"""A folded network in 8-bit integers for the CPU, by MXNet's own quantisation on oneDNN."""

import contextlib
import itertools
import logging
import os

import numpy

from engine import mx

BACKEND = 'MKLDNN_QUANTIZE'
CALIBRATION_BATCHES = 5  # the largest activations in them set the scale of each layer


def int8(symbol, arg, aux, batches):
    """Return symbol, parameters and moving statistics of the network in int8.

    Parameters
    ----------
    symbol, arg, aux
        What ``graphs.fold.fold`` returned.
    batches : iterator of mx.io.DataBatch
        Batches of the training set. The network is run on the first few of them to find the range
        of every layer's output.
    """
    first = list(itertools.islice(batches, CALIBRATION_BATCHES))
    images, labels = (
        numpy.concatenate([getattr(batch, name)[0].asnumpy() for batch in first])
        for name in ('data', 'label')
    )
    calibration = mx.io.NDArrayIter(
        images, labels, len(first[0].label[0]), label_name='softmax_label'
    )
    quiet = logging.getLogger('quantize')
    quiet.setLevel(logging.ERROR)
    with _stderr_to_null():
        fused = symbol.get_backend_symbol(BACKEND)
        symbol, arg, aux = mx.contrib.quantization.quantize_model(
            fused,
            arg,
            aux,
            label_names=('softmax_label',),
            ctx=mx.cpu(),
            calib_mode='naive',
            calib_data=calibration,
            num_calib_examples=len(labels),
            quantized_dtype='auto',
            logger=quiet,
        )
        return symbol.get_backend_symbol(BACKEND), arg, aux


@contextlib.contextmanager
def _stderr_to_null():
    """Send stderr to the null device: MXNet's C++ code writes two lines a layer to it.

    No option of MXNet turns these lines off.
    """
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
