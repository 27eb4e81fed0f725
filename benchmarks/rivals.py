"""Runs PyTorch, ONNX Runtime or OpenVINO as one side of a benchmark: python -m benchmarks.rivals.

Another interpreter than the project's may run it (``benchmark.py --python``). That needs only NumPy
and the package that is measured.
"""

import os
import sys

from benchmarks.serve import ENSEMBLE, random_batch, serve


def threads(spec):
    """Return the number of threads to compute with: by default one for each core."""
    return spec['threads'] or len(os.sched_getaffinity(0))


class Torch:
    """PyTorch, with SGD, Nesterov momentum and decay.

    ``layout`` of the specification is the memory format, and ``compile`` says whether
    ``torch.compile`` compiles the network.
    """

    def __init__(self, spec):
        import torch  # not at the top: each side needs its own package alone

        self.torch = torch
        torch.set_num_threads(threads(spec))
        layout = {'nchw': torch.contiguous_format, 'nhwc': torch.channels_last}[spec['layout']]
        self.network = self._build(spec).to(memory_format=layout)
        images, labels = random_batch(spec['batch'], spec['shape'])
        self.images = torch.from_numpy(images).contiguous(memory_format=layout)
        self.labels = torch.from_numpy(labels)
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4
        )
        self.call = torch.compile(self.network) if spec.get('compile') else self.network

    @staticmethod
    def _build(spec):
        if spec['network'] == ENSEMBLE:
            from benchmarks.torch_ensemble import Ensemble

            return Ensemble(**spec['metadata'])
        from pytorch import networks

        try:
            return networks.build(spec['metadata'])
        except LookupError:
            sys.exit(
                f'{spec["network"]} has no module for PyTorch: add one to SMALL of '
                'pytorch/networks.py, or compare with another side'
            )

    def train(self, steps):
        self.network.train()
        for _ in range(steps):
            self.optimiser.zero_grad(set_to_none=True)
            found = self.call(self.images)
            loss = sum(
                self.torch.nn.functional.cross_entropy(scores, self.labels)
                for scores in (found if isinstance(found, list) else [found])
            )
            loss.backward()
            self.optimiser.step()
        loss.item()

    def inference(self, steps):
        self.network.eval()
        with self.torch.inference_mode():
            for _ in range(steps):
                self.call(self.images)


class OnnxRuntime:
    """ONNX Runtime, with the file spec['onnx']; if spec['fast'] is int8, quantized by its tool."""

    def __init__(self, spec):
        import onnxruntime

        self.images, _ = random_batch(spec['batch'], spec['shape'])
        path = spec['onnx']
        if spec['fast'] == 'int8':
            from benchmarks.onnx_quantization import quantize

            path = quantize(path, [self.images])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads(spec)
        self.session = onnxruntime.InferenceSession(
            path, options, providers=['CPUExecutionProvider']
        )

    def inference(self, steps):
        for _ in range(steps):
            self.session.run(None, {'data': self.images})


class OpenVino:
    """OpenVINO in float32, with the file spec['onnx'], compiled for the batch size."""

    def __init__(self, spec):
        import openvino

        self.images, _ = random_batch(spec['batch'], spec['shape'])
        core = openvino.Core()
        model = core.read_model(spec['onnx'])
        model.reshape(list(self.images.shape))
        settings = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': 'f32',
            'INFERENCE_NUM_THREADS': threads(spec),
        }
        self.request = core.compile_model(model, 'CPU', settings).create_infer_request()

    def inference(self, steps):
        for _ in range(steps):
            self.request.infer({0: self.images})


def main():
    try:
        serve({'torch': Torch, 'onnxruntime': OnnxRuntime, 'openvino': OpenVino})
    except ModuleNotFoundError as error:
        package = error.name.split('.')[0]
        sys.exit(
            f'{package} is not installed for {sys.executable}: install it with '
            f'"{sys.executable} -m pip install {package}", or name another with --python'
        )


if __name__ == '__main__':
    main()
