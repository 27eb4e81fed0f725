"""Compares 8-bit integers by MXNet, as score.py --fast int8 has them, with ONNX Runtime's: errors.

python -m benchmarks.int8_errors --pretrained fashion-mnist-mr14

It needs the packages onnx and onnxruntime, and the record files of the data set. Speed is compared
by benchmark.py --compare onnxruntime --fast int8.
"""

import argparse
import os
import tempfile
from itertools import islice

import engine
from benchmarks import networks
from common import options, scoring_options
from common.evaluate import evaluate
from common.model import load, open_records
from common.scorer import Scorer
from engine import mx
from graphs.quantize import CALIBRATION_BATCHES
from system.errors import UserError, missing_package
from system.script import run_main

BATCH = 100


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


class OnnxRuntime:
    """A model in ONNX Runtime, with those methods of a Module that ``evaluate`` calls."""

    output_names = ['softmax_output']

    def __init__(self, path):
        import onnxruntime  # not at the top: an optional package

        self.session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def forward(self, batch, is_train=False):
        found = self.session.run(None, {'data': batch.data[0].asnumpy()})
        self.outputs = [mx.nd.array(output) for output in found]

    def get_outputs(self):
        return self.outputs


def error_by_onnxruntime(model, args):
    """Return the test error in % of ONNX Runtime's static quantization."""
    try:
        from benchmarks.onnx_quantization import quantize  # not at the top: see OnnxRuntime
    except ModuleNotFoundError as error:
        raise missing_package(error.name.split('.')[0]) from None
    calibration = islice(batches_of(model, args, 'train.rec'), CALIBRATION_BATCHES)
    images = [batch.data[0].asnumpy() for batch in calibration]
    arrays = model.arrays
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'network.onnx')
        networks.write_folded(model.symbol, arrays['arg'], arrays['aux'], model.dataset.shape, path)
        quantized = OnnxRuntime(quantize(path, images))
    return evaluate(quantized, batches_of(model, args, 'test.rec')).error


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
