"""A trained network bound for inference."""
import os

import numpy

from common import checkpoint, images, photographs
from common.engine import mx
from common.errors import UserError
from common.evaluate import evaluate
from common.images import cv2
from common.quantize import int8
from symbols.fast import for_inference
from symbols.fold import fold


INPUTS = ('data', 'softmax_label')


class Scorer:
    """Runs a trained network.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arrays : dict
        A checkpoint's arrays, see ``checkpoint.load_arrays``.
    device : mx.Context
    batch : int
        Images in a batch.
    shape : tuple of int
        Of an image: channels, height, width.
    fast : str, optional
        ``float32`` folds BatchNorm into the convolutions: outputs are equal up to rounding. ``int8`` also
        computes in 8-bit integers, which changes them.
    calibration : iterator of mx.io.DataBatch, optional
        Training images, for ``int8``.

    Raises
    ------
    UserError
        The arrays are those of another network.
    """

    def __init__(self, symbol, arrays, device, batch, shape=(3, 32, 32), fast=None, calibration=None):
        self.batch, self.shape = batch, shape
        check_parameters(symbol, arrays, shape)
        arg, aux = arrays['arg'], arrays['aux']
        if fast:
            symbol, arg, aux = fold(symbol, arg, aux)
        if fast == 'int8':
            symbol, arg, aux = int8(symbol, arg, aux, calibration)
        elif device.device_type == 'cpu':
            symbol = for_inference(symbol)
        self.module = mx.mod.Module(symbol, context=device)
        self.module.bind(data_shapes=[('data', (batch,) + shape)], for_training=False,
                         label_shapes=[('softmax_label', (batch,))])
        self.module.set_params(arg, aux)

    def score(self, batches):
        """Return the ``Result`` on an iterator of batches."""
        return evaluate(self.module, batches)

    def probabilities(self, image):
        """Return the class probabilities, shape (classes,), of a normalised image, see ``read_image``."""
        data = mx.nd.array(numpy.broadcast_to(image, (self.batch,) + self.shape))
        self.module.forward(mx.io.DataBatch([data], None), is_train=False)
        return numpy.mean([output[0].asnumpy() for output in self.module.get_outputs()], axis=0)


def check_parameters(symbol, arrays, shape):
    """Raise ``UserError`` for arrays of other names or shapes than a symbol's parameters."""
    try:
        arguments, _, auxiliary = symbol.infer_shape(data=(1,) + shape)
    except (mx.MXNetError, ValueError):
        raise UserError('the network does not take images of %dx%d in RGB: name the model-symbol.json of a run' % shape[1:])
    expected = {'arg': dict(zip(symbol.list_arguments(), arguments)),
                'aux': dict(zip(symbol.list_auxiliary_states(), auxiliary))}
    for name in INPUTS:
        expected['arg'].pop(name, None)
    for kind, shapes in expected.items():
        found = {name: array.shape for name, array in arrays[kind].items()}
        if found != shapes:
            odd = sorted(set(found.items()) ^ set(shapes.items()))[0][0]
            raise UserError('the parameters are not those of this network (they differ in %s): name '
                            'the model-symbol.json and a .params file of one run' % odd)


def find_run(name, folder):
    """Return the checkpoint folder of a run, given by its name or by the folder itself."""
    return checkpoint.find(name, folder)


def epoch_of(state, which):
    """Return the epoch that ``which`` names: ``last``, ``best`` (lowest test error) or a number."""
    epoch = {'last': state['epoch'], 'best': state['best']}.get(which)
    if epoch is None and which.isdigit() and int(which) in state['kept']:
        epoch = int(which)
    if epoch is None:
        raise UserError('--checkpoint %s: the run keeps last, best and the epochs %s'
                        % (which, ', '.join(map(str, state['kept']))))
    return epoch


def load_run(folder, which):
    """Return symbol, arrays, state and epoch of a run's checkpoint."""
    state = checkpoint.load_state(folder)
    epoch = epoch_of(state, which)
    path = checkpoint.params_path(folder, epoch)
    if not checkpoint.whole(folder, os.path.basename(path), state):
        raise UserError('%s is damaged or gone: name another epoch of the run with --checkpoint' % path)
    checkpoint.check_symbol(folder, state)
    return (checkpoint.load_symbol(os.path.join(folder, checkpoint.SYMBOL)),
            checkpoint.load_arrays(checkpoint.params_path(folder, epoch)), state, epoch)


def centre(image, size):
    """Return the middle, ``size`` x ``size``, of an image whose shorter side is scaled to 256 / 224 of that."""
    image = images.with_short_side(image, photographs.short_side(size))
    top, left = ((side - size) // 2 for side in image.shape[:2])
    return image[top:top + size, left:left + size]


def read_image(path, dataset):
    """Return an image file as the networks take it, ``dataset.shape`` and normalised, and its own size (w, h).

    An image of another size is scaled to 32x32; of a photograph the middle is taken, as at an evaluation.
    """
    if not os.path.isfile(path):
        raise UserError('%s is not there: name an image file' % path)
    try:
        image = cv2.imread(path, cv2.IMREAD_COLOR)
    except cv2.error:  # more than 64 megapixels, see images.py
        raise UserError('%s is too large an image: scale it down first' % path)
    if image is None:
        raise UserError('%s is not an image that OpenCV reads: convert it to PNG or JPEG' % path)
    size, wanted = image.shape[1::-1], dataset.shape[:0:-1]
    if dataset.short:
        image = centre(image, dataset.size)
    elif size != wanted:
        image = cv2.resize(image, wanted, interpolation=cv2.INTER_AREA)
    rgb = image[..., ::-1].astype(numpy.float32)
    normalised = (rgb - numpy.float32(dataset.mean)) / numpy.float32(dataset.std)
    return normalised.transpose(2, 0, 1), size
