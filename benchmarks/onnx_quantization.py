"""ONNX Runtime's static quantization to 8-bit integers, of which speed and error are measured.

This file needs ONNX Runtime and nothing else of the project, see benchmarks/rivals.py.
"""

from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process


class Images(quantization.CalibrationDataReader):
    """Gives batches of images to the calibration, one after another."""

    def __init__(self, batches):
        self.left = iter(batches)

    def get_next(self):
        images = next(self.left, None)
        return None if images is None else {'data': images}


def quantize(path, batches):
    """Quantize the model in a file; return the path of the new file beside it.

    Parameters
    ----------
    path : str
        Of an ONNX file whose input is ``data``.
    batches : iterable of numpy.ndarray
        Images (batch, channels, height, width), which set the scale of each layer.
    """
    prepared, quantized = path + '.prepared.onnx', path + '.int8.onnx'
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantization.quantize_static(
        prepared, quantized, Images(batches), quant_format=quantization.QuantFormat.QDQ
    )
    return quantized
