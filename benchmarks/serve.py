"""The loop of a side's process, which answers lines on stdin, and the fixed batch of all sides.

This file needs nothing but NumPy, because PyTorch, ONNX Runtime and OpenVINO may be installed for
another interpreter, which lacks MXNet and what else the project needs.
"""

import json
import resource
import sys
import time

CLASSES = 10
ENSEMBLE = 'ensemble'  # names Ensemble-8 with weight sharing, which is in no table of networks


def random_batch(batch, shape):
    """Return normally distributed images (batch, *shape) and random labels (batch,)."""
    import numpy  # not at the top: where it is missing, rivals.py says so in a sentence

    random = numpy.random.RandomState(0)
    images = random.standard_normal((batch, *shape)).astype('float32')
    return images, random.randint(0, CLASSES, batch)


def answer(**values):
    """Print a line of JSON, to which the peak of resident memory, in KiB, is added."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(dict(values, peak=peak)), flush=True)


def serve(sides):
    """Build the side that the first argument of the process describes, and run what stdin asks for.

    It prints a line of JSON when the side is ready, and one as the answer to each line
    ``TASK STEPS``, with the seconds that it took.

    Parameters
    ----------
    sides : dict
        {name: class}; the class takes the specification, and has a method for each task.
    """
    spec = json.loads(sys.argv[1])
    side = sides[spec['side']](spec)
    answer(startup=getattr(side, 'startup', None))
    for line in sys.stdin:
        task, steps = line.split()
        start = time.perf_counter()
        result = getattr(side, task)(int(steps))
        answer(seconds=time.perf_counter() - start, result=result)
