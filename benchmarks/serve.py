"""What each side's process does: it answers lines on stdin, see ``serve``; and the fixed batch.

It needs NumPy alone, because PyTorch, ONNX Runtime and OpenVINO may be those of another
interpreter, in which the rest of the project is not installed.
"""

import json
import resource
import sys
import time

import numpy

CLASSES = 10


def random_batch(batch, shape):
    """Return normally distributed images (batch, *shape) and random labels (batch,)."""
    random = numpy.random.RandomState(0)
    images = random.standard_normal((batch, *shape)).astype('float32')
    return images, random.randint(0, CLASSES, batch)


def answer(**values):
    """Print a line of JSON, which has the peak of resident memory, in KiB, as well."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(dict(values, peak=peak)), flush=True)


def serve(sides):
    """Make the side that the first argument of the process describes, and do what stdin asks.

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
