"""Compares 8-bit integers by MXNet, as score.py --fast int8 has them, with ONNX Runtime's: errors.

python -m benchmarks.int8_errors --pretrained fashion-mnist-mr14

It needs the packages onnx and onnxruntime, and the record files of the data set. Speed is compared
by benchmark.py --compare onnxruntime --fast int8.
"""

import argparse
import os
import tempfile

import numpy

import engine
from common import options, scoring_options
from common.model import load, open_records
from common.scorer import Scorer
from graphs import fold, onnx_graph
from system import files
from system.errors import UserError, missing_package
from system.script import run_main

BATCH = 100
CALIBRATION_BATCHES = 5  # as graphs/quantize.py takes, of as many images


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    scoring_options.add_network(parser)
    scoring_options.add_checkpoint(parser)
    options.add_folders(parser)
    return parser.parse_args()


def batches_of(model, args, part):
    """Return an iterator over train.rec or test.rec of the network's data set."""
    path = os.path.join(args.data_dir, model.name, part)
    return open_records(path, model, BATCH).batches()


def error_by_mxnet(model, args, fast):
    """Return the test error in % of ``score.py --fast``."""
    calibration = batches_of(model, args, 'train.rec') if fast == 'int8' else None
    scorer = Scorer(model, engine.devices(None, 1)[0], BATCH, fast, calibration)
    return scorer.score(batches_of(model, args, 'test.rec')).error


def error_by_onnxruntime(model, args):
    """Return the test error in % of ONNX Runtime's static quantization."""
    try:
        # Not at the top: optional packages.
        import onnxruntime
        from onnxruntime import quantization
    except ModuleNotFoundError as error:
        raise missing_package(error.name.split('.')[0]) from None

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            found = zip(range(CALIBRATION_BATCHES), batches_of(model, args, 'train.rec'))
            self.left = [{'data': batch.data[0].asnumpy()} for _, batch in found]

        def get_next(self):
            return self.left.pop(0) if self.left else None

    symbol, arg, aux = fold.fold(model.symbol, model.arrays['arg'], model.arrays['aux'])
    converted = onnx_graph.convert(symbol, {**arg, **aux}, model.dataset.shape)
    with tempfile.TemporaryDirectory() as folder:
        plain, quantized = (os.path.join(folder, name) for name in ('plain.onnx', 'int8.onnx'))
        files.write_outputs({plain: converted.SerializeToString()}, overwrite=False)
        quantization.quantize_static(plain, quantized, Reader())
        session = onnxruntime.InferenceSession(quantized, providers=['CPUExecutionProvider'])
    wrong = images = 0
    for batch in batches_of(model, args, 'test.rec'):
        count = BATCH - batch.pad
        (found,) = session.run(None, {'data': batch.data[0].asnumpy()})
        labels = batch.label[0].asnumpy()[:count]
        wrong += int(numpy.sum(found[:count].argmax(axis=1) != labels))
        images += count
    return 100 * wrong / images


def main():
    args = parse_args()
    args.batch_size = BATCH
    model = load(args)
    if len(model.symbol.list_outputs()) > 1:
        raise UserError('an ensemble has several outputs: name a run of one network')
    print(f'{model.title}, test error of {model.name}')
    print(f'float32                {error_by_mxnet(model, args, "float32"):.2f}%')
    print(f'int8, MXNet            {error_by_mxnet(model, args, "int8"):.2f}%')
    print(f'int8, ONNX Runtime     {error_by_onnxruntime(model, args):.2f}%')


if __name__ == '__main__':
    run_main(main)
