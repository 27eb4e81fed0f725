"""A trained network bound for inference."""

import numpy

from common.evaluate import evaluate
from engine import mx
from graphs import untrusted_symbol
from graphs.fast import for_folded_inference, for_inference
from graphs.fold import fold
from graphs.quantize import int8
from recordio import augmentation, images
from recordio.images import cv2
from recordio.network_input import centre
from system.errors import UserError

INPUTS = ('data', 'softmax_label')
# The most that a forward pass may take: bytes of memory, and multiplications and additions for each
# image.
MOST_MEMORY, MOST_OPERATIONS = 16 << 30, 10**12
LONGEST = 65000  # pixels of the longer side of a photograph whose shorter side is scaled


class Scorer:
    """Runs a trained network.

    Parameters
    ----------
    model : common.model.Model
    device : mx.Context
    batch : int
        Images in a batch.
    fast : str, optional
        ``float32`` folds BatchNorm into the convolutions: outputs are equal up to rounding.
        ``int8`` also computes in 8-bit integers, which changes them.
    calibration : iterator of mx.io.DataBatch, optional
        Training images, for ``int8``.
    native : bool
        Whether to use the project's operators, which are compiled at their first use.

    Raises
    ------
    UserError
        The arrays are those of another network, or a batch takes more than this machine has.
    """

    def __init__(self, model, device, batch, fast=None, calibration=None, native=True):
        symbol, arrays, shape = model.symbol, model.arrays, model.dataset.shape
        self.batch, self.shape = batch, shape
        check_parameters(symbol, arrays, shape)
        check_needs(symbol, batch, shape)
        arg, aux = arrays['arg'], arrays['aux']
        if fast:
            symbol, arg, aux = fold(symbol, arg, aux)
        if fast == 'int8':
            symbol, arg, aux = int8(symbol, arg, aux, calibration)
        elif native and device.device_type == 'cpu':
            if fast:
                symbol, arg = for_folded_inference(symbol, arg, shape)
            else:
                symbol = for_inference(symbol)
        # A network that is one operator (graphs/one_operator.py) has no label among its inputs.
        labels = [name for name in symbol.list_arguments() if name == INPUTS[1]]
        self.module = mx.mod.Module(symbol, context=device, label_names=labels)
        self.module.bind(
            data_shapes=[('data', (batch,) + shape)],
            for_training=False,
            label_shapes=[(name, (batch,)) for name in labels] or None,
        )
        self.module.set_params(arg, aux)

    def score(self, batches, confusion=False):
        """Return the ``Result`` on an iterator of batches, with its confusion matrix or without."""
        classes = self.module.output_shapes[0][1][1] if confusion else 0
        return evaluate(self.module, batches, classes=classes)

    def probabilities(self, image):
        """Return the class probabilities, shape (classes,), of a normalised image."""
        data = mx.nd.array(numpy.broadcast_to(image, (self.batch,) + self.shape))
        self.module.forward(mx.io.DataBatch([data], None), is_train=False)
        return numpy.mean([output[0].asnumpy() for output in self.module.get_outputs()], axis=0)


def infer_shapes(symbol, shape):
    """Return the shapes of a symbol's arguments, outputs and statistics for one image."""
    try:
        return symbol.infer_shape(data=(1,) + shape)
    except (mx.MXNetError, ValueError):
        raise UserError(
            f'the network does not take images of {shape[2]}x{shape[1]} in RGB: name '
            'the model-symbol.json of a run'
        ) from None


def check_needs(symbol, batch, shape):
    """Raise ``UserError`` if a forward pass takes more memory or operations than are allowed."""
    needs = untrusted_symbol.needs(symbol, shape)
    size = f'{shape[2]}x{shape[1]}'
    if needs.operations > MOST_OPERATIONS:
        raise UserError(
            f'the network takes {needs.operations:.1e} operations for one image of '
            f'{size}, and at most {MOST_OPERATIONS:.0e} are allowed: name another one'
        )
    most, own, one = min(MOST_MEMORY, free_memory()), needs.memory(0), needs.memory(1)
    if one > most:
        raise UserError(
            f'the network takes about {_gigabytes(one)} for one image of {size}, and '
            f'{_gigabytes(most)} may be used here: name another network'
        )
    if needs.memory(batch) > most:
        raise UserError(
            f'the network takes about {_gigabytes(needs.memory(batch))} for {batch} '
            f'images of {size} at a time, and {_gigabytes(most)} may be used here: add '
            f'--batch-size {(most - own) // (one - own)}'
        )


def _gigabytes(size):
    return f'{size / 1e9:.1f} GB of memory'


def free_memory():
    """Return the bytes of memory that Linux could give to a process, or a very large number."""
    try:
        with open('/proc/meminfo') as file:
            kilobytes = dict(line.split()[:2] for line in file)
        return int(kilobytes['MemAvailable:']) << 10
    except (OSError, LookupError, ValueError):
        return 1 << 62


def expected_shapes(symbol, shape):
    """Return the shapes of a symbol's parameters, {'arg': {name: shape}, 'aux': ...}."""
    arguments, _, auxiliary = infer_shapes(symbol, shape)
    expected = {
        'arg': dict(zip(symbol.list_arguments(), arguments)),
        'aux': dict(zip(symbol.list_auxiliary_states(), auxiliary)),
    }
    for name in INPUTS:
        expected['arg'].pop(name, None)
    return expected


def check_parameters(symbol, arrays, shape):
    """Raise ``UserError`` for arrays of other names or shapes than a symbol's parameters."""
    for kind, shapes in expected_shapes(symbol, shape).items():
        found = {name: array.shape for name, array in arrays[kind].items()}
        if found != shapes:
            odd = sorted(set(found.items()) ^ set(shapes.items()))[0][0]
            raise UserError(
                f'the parameters are not those of this network (they differ in {odd}): '
                'name the model-symbol.json and a .params file of one run'
            )


def read_image(path, dataset):
    """Return an image file as the networks see it, and its own size (width, height).

    An image of another size is scaled to 32x32; of a photograph the middle is taken, as at an
    evaluation.

    Returns
    -------
    numpy.ndarray
        (height, width, 3) of uint8, blue first, see ``network_input.normalised``.
    tuple of int
        (width, height) of the image in its file.

    Raises
    ------
    UserError
        See ``images.read``; or the image is much longer than it is wide.
    """
    image = images.read(path)
    size, wanted = image.shape[1::-1], dataset.shape[:0:-1]
    if dataset.short:
        if max(size) * augmentation.short_side(dataset.size) > LONGEST * min(size):
            raise UserError(
                f'{path} is {size[0]}x{size[1]}, too long for its width: cut a piece '
                'out of it first'
            )
        image = centre(image, dataset.size)
    elif size != wanted:
        image = cv2.resize(image, wanted, interpolation=cv2.INTER_AREA)
    return image, size
