"""Train for an epoch with BatchNorm frozen, alone or as a worker: python
train_with_frozen_batchnorm.py DATA OUT WORKERS PARTS.

Alone, it takes the batches of all ``PARTS`` workers together: their mean gradient is that of the
union.
"""

import json
import os
import sys

import numpy

import symbols
from common import checkpoint
from common.compute import Compute
from common.recipe import Recipe, cifar_decay
from common.trainer import Trainer
from distributed import cluster
from engine import mx
from recordio import datasets
from recordio.record_iterator import Batches


class Union:
    def __init__(self, parts):
        self.parts, self.shape, self.per_epoch = parts, parts[0].shape, parts[0].per_epoch
        self.batch, self.train_images = sum(part.batch for part in parts), parts[0].train_images

    def train(self, epoch):
        for batches in zip(*(part.train(epoch) for part in self.parts)):
            joined = mx.io.DataBatch(
                *(
                    [mx.nd.concat(*(getattr(batch, kind)[0] for batch in batches), dim=0)]
                    for kind in ('data', 'label')
                )
            )
            joined.pad = sum(batch.pad for batch in batches)
            yield joined


def frozen():
    # Not mr, which diverges at this learning rate when its statistics are frozen.
    graph = json.loads(symbols.get_symbol('mr-late', 8).tojson())
    for node in graph['nodes']:
        if node['op'] == 'BatchNorm':
            node['attrs']['use_global_stats'] = 'True'
    return mx.sym.load_json(json.dumps(graph))


def main():
    data, out, kvstore, parts = sys.argv[1:]
    workers, parts = cluster.join(kvstore), int(parts)
    share = 23 if parts == 2 else 10  # images of a batch for each worker
    dataset = datasets.get('cifar10')
    ranks = [workers.rank] if workers.size > 1 else range(parts)
    batches = [Batches(data, dataset, share, seed=3, shard=(rank, parts)) for rank in ranks]
    assert [each.shape for each in batches] == [(3, 32, 32)] * len(batches)
    trainer = Trainer(
        frozen(),
        batches[0] if workers.size > 1 else Union(batches),
        Recipe(8, 0.05, cifar_decay(8), seed=5),
        Compute([mx.cpu()], kvstore, workers=workers),
    )
    result = trainer.train(1, type('Never', (), {'check': lambda self: None})()).result
    numpy.savez(
        f'{out}-{workers.rank}',
        loss=result.loss,
        error=result.error,
        **checkpoint.flat(trainer.state()),
    )


if __name__ == '__main__':
    sys.path.insert(0, os.getcwd())
    main()
