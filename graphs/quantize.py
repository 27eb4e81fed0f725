"""A folded network in 8-bit integers, by MXNet's own quantisation on oneDNN; for inference on the CPU."""

import contextlib
import itertools
import logging
import os

import numpy

from engine import mx

BACKEND = 'MKLDNN_QUANTIZE'
BATCHES = 5  # whose largest activations set the scale of each layer


def int8(symbol, arg, aux, batches):
    """Return symbol, parameters and statistics of the network in int8.

    Parameters
    ----------
    symbol, arg, aux
        What ``graphs.fold.fold`` returned.
    batches : iterator of mx.io.DataBatch
        Of the training set; a few are run to find the range of every layer's output.
    """
    some = list(itertools.islice(batches, BATCHES))
    images, labels = (
        numpy.concatenate([getattr(batch, part)[0].asnumpy() for batch in some])
        for part in ('data', 'label')
    )
    calibration = mx.io.NDArrayIter(
        images, labels, len(some[0].label[0]), label_name='softmax_label'
    )
    quiet = logging.getLogger('quantize')
    quiet.setLevel(logging.ERROR)
    with _silence():
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
def _silence():
    """Keep MXNet's C++ code from writing two lines a layer to stderr, which no option of its own does."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
