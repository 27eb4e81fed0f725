"""The networks inside N_f3 and their ensembles (sections 3 and 4, Tables 1 to 3)."""

import os

import numpy
import pytest
from scripts import run_script, user_error
from training_runs import arrays_of, name_of, records_of, small_cifar

import symbols
from common import evaluate, log
from engine import mx
from graphs import fast, paths, summary
from graphs.fold import fold
from report import diagrams
from symbols import ensemble
from system.errors import UserError

# Table 1: depth of the plain network, then those of LLL, RLL, LRL, LLR, RRL, RLR, LRR, RRR.
TABLE1 = """14 5 8 8 8 11 11 11 14
20 5 10 10 10 15 15 15 20
26 5 12 12 12 19 19 19 26
38 5 16 16 16 27 27 27 38
50 5 20 20 20 35 35 35 50
56 5 22 22 22 39 39 39 56
62 5 24 24 24 43 43 43 62
74 5 28 28 28 51 51 51 74
98 5 36 36 36 67 67 67 98
110 5 40 40 40 75 75 75 110"""
DEPTHS = {int(row.split()[0]): list(map(int, row.split()[1:])) for row in TABLE1.split('\n')}


@pytest.mark.parametrize('depth', sorted(DEPTHS))
def test_depths_and_parameters(depth):
    units = (depth - 2) // 3
    whole, fused = ensemble.get_symbol(units, 10), symbols.get_symbol('fuse3', depth)
    components = [ensemble.component(name, units, 10) for name in ensemble.NAMES]
    assert [paths.depth(component) for component in components] == DEPTHS[depth]
    assert paths.histogram(whole) == paths.histogram(
        fused
    )  # the ensemble and the tandem ensemble have the same components
    # Sharing adds no parameter; without it each component has its own.
    assert summary.parameters(whole) == summary.parameters(fused) and set(
        whole.list_arguments()
    ) == set(fused.list_arguments())
    assert summary.parameters(ensemble.get_symbol(units, 10, sharing=False)) == sum(
        map(summary.parameters, components)
    )
    assert whole.list_outputs() == [f'softmax_{name}_output' for name in ensemble.NAMES]


def test_what_is_shared():
    units = 4
    auxiliary = {
        name: set(ensemble.component(name, units, 10).list_auxiliary_states())
        for name in ensemble.NAMES
    }
    for one in ensemble.NAMES:
        for other in ensemble.NAMES:
            # Moving statistics are a component's own from the group on where it parts from another.
            common = os.path.commonprefix([one, other])
            expected = {
                name
                for name in auxiliary[one]
                if name.startswith('stem') or common.startswith(name.split('_')[0])
            }
            assert auxiliary[one] & auxiliary[other] == expected
    separate = ensemble.get_symbol(units, 10, sharing=False)
    for name in separate.list_arguments() + separate.list_auxiliary_states():
        assert name in ('data', 'softmax_label') or name.split('_')[0] in ensemble.NAMES
    seven = ensemble.get_symbol(
        units, 10, names=[name for name in ensemble.NAMES if name != ensemble.DEEPEST]
    )
    assert len(seven.list_outputs()) == 7 and set(seven.list_arguments()) == set(
        ensemble.get_symbol(units, 10).list_arguments()
    )
    with pytest.raises(UserError, match='LLL, RLL'):
        ensemble.component('LRX', units, 10)


def values_of(symbol, batch=4):
    random = numpy.random.RandomState(3)
    shapes, _, auxiliary = symbol.infer_shape(data=(batch, 3, 32, 32))
    values = {}
    for name, shape in list(zip(symbol.list_arguments(), shapes)) + list(
        zip(symbol.list_auxiliary_states(), auxiliary)
    ):
        if name == 'softmax_label':
            values[name] = random.randint(0, 10, shape).astype('float32')
        elif name.endswith(('gamma', 'var')):
            values[name] = (random.rand(*shape) + 0.5).astype('float32')
        else:
            values[name] = (
                random.randn(*shape) * numpy.sqrt(2 / max(1, numpy.prod(shape[1:])))
            ).astype('float32')
    values['fc_weight'] *= 0.1  # classes alike: of sure ones the differences are all rounding
    return values


def passed(symbol, values, training):
    """Return outputs by name, gradients and moved statistics after one pass."""
    executor = symbol.simple_bind(
        mx.cpu(), grad_req='write' if training else 'null', data=values['data'].shape
    )
    for name, array in {**executor.arg_dict, **executor.aux_dict}.items():
        array[:] = values[name]
    outputs = [output.asnumpy() for output in executor.forward(is_train=training)]
    if training:
        executor.backward()
    gradients = {
        name: array.asnumpy()
        for name, array in executor.grad_dict.items()
        if array is not None and name not in ('data', 'softmax_label')
    }
    return (
        dict(zip(symbol.list_outputs(), outputs)),
        gradients,
        {name: array.asnumpy() for name, array in executor.aux_dict.items()},
    )


@pytest.mark.parametrize(
    'rewrite', (lambda symbol: symbol, fast.for_training), ids=('textbook', 'native')
)
def test_a_component_is_the_network_alone(rewrite):
    """Outputs and statistics are those of the single networks with the same weights, gradients
    their sum.
    """
    whole = ensemble.get_symbol(4, 10)
    values = values_of(whole)
    outputs, gradients, statistics = passed(rewrite(whole), values, training=True)
    total = {}
    for name in ensemble.NAMES:
        own, grads, moved = passed(ensemble.component(name, 4, 10), values, training=True)
        (output,) = own.values()
        numpy.testing.assert_allclose(outputs[f'softmax_{name}_output'], output, atol=1e-5)
        for key, array in moved.items():
            numpy.testing.assert_allclose(statistics[key], array, rtol=1e-4, atol=1e-5, err_msg=key)
        for key, array in grads.items():
            total[key] = total.get(key, 0) + array
    assert set(total) == set(gradients)
    for key, array in total.items():
        # A ReLU that rounding turns over changes the gradients a little.
        numpy.testing.assert_allclose(
            gradients[key], array, atol=2e-3 * abs(array).max(), err_msg=key
        )


def test_the_tandem_ensemble_is_the_fused_net():
    """Figures 1a and 1b: each column of the expanded form computes what the fused net computes."""
    fused, expanded = (
        symbols.get_symbol('fuse3', 8).get_internals()['fc_output'] * 1,
        diagrams.tandem(2, 10),
    )
    values = values_of(fused)
    given = {
        name: values[name.split('_', 1)[1] if name.split('_')[0] in ensemble.NAMES else name]
        for name in expanded.list_arguments() + expanded.list_auxiliary_states()
    }
    (expected,) = passed(fused, values, training=False)[0].values()
    outputs = passed(expanded, given, training=False)[0]
    assert len(outputs) == 8
    for output in outputs.values():
        numpy.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-3 * abs(expected).max())


def test_inference_graphs_of_an_ensemble():
    """Folding must not scale a shared weight by one component's statistics for all."""
    symbol = ensemble.get_symbol(2, 10)
    values = values_of(symbol)
    expected = passed(symbol, values, training=False)[0]
    folded, arg, aux = fold(
        symbol,
        *(
            {
                name: mx.nd.array(values[name])
                for name in names
                if name not in ('data', 'softmax_label')
            }
            for names in (symbol.list_arguments(), symbol.list_auxiliary_states())
        ),
    )
    given = dict(values, **{name: array.asnumpy() for name, array in {**arg, **aux}.items()})
    for graph in (fast.for_inference(symbol), folded, fast.for_inference(folded)):
        for name, array in passed(graph, given, training=False)[0].items():
            numpy.testing.assert_allclose(array, expected[name], atol=1e-3)
    assert not aux


def test_errors_of_an_ensemble():
    """Mean, components and leave-one-out, against plain NumPy."""
    random = numpy.random.RandomState(0)
    outputs = random.dirichlet(numpy.ones(10) * 0.3, (3, 50)).astype('float32')
    labels = random.randint(0, 10, 50)
    meter = evaluate.Meter(('A', 'B', 'C'))
    for part in (slice(0, 20), slice(20, 50)):
        meter.add([mx.nd.array(output[part]) for output in outputs], mx.nd.array(labels[part]))
    result = meter.result()

    def wrong(scores):
        return 100 * (scores.argmax(axis=1) != labels).mean()

    assert result.error == pytest.approx(wrong(outputs.mean(axis=0)))
    assert result.loss == pytest.approx(
        -numpy.log(outputs.mean(axis=0)[range(50), labels]).mean(), rel=1e-4
    )
    for number, name in enumerate('ABC'):
        assert result.components[name] == pytest.approx(wrong(outputs[number]))
        assert result.without[name] == pytest.approx(
            wrong(numpy.delete(outputs, number, axis=0).mean(axis=0))
        )


# ---- training ----


@pytest.fixture(scope='module')
def place(tmp_path_factory, fashion):
    return small_cifar(tmp_path_factory.mktemp('ensemble'), fashion, 160, 64)


def command(place, folder, *more):
    return (
        'study/train_ensemble.py',
        '--depth',
        '14',
        '--epochs',
        '2',
        '--batch-size',
        '32',
        '--data-dir',
        place / 'data',
        '--log-dir',
        folder / 'logs',
        '--checkpoint-dir',
        folder / 'checkpoints',
        *more,
    )


def trained(place, folder, *more):
    run_script(*command(place, folder, *more))
    name = name_of(folder / 'checkpoints')
    return name, log.read(str(folder / 'logs' / (name + '.jsonl')))


def test_train_score_and_resume(place, tmp_path):
    name, (header, records) = trained(place, tmp_path)
    assert (
        header['options']['network'] == 'ensemble8'
        and header['parameters'] == 198074
        and 'ensemble8-14' in name
    )
    assert [
        list(record['test_' + kind]) for record in records for kind in ('components', 'without')
    ] == [list(ensemble.NAMES)] * 4
    said = run_script(
        'study/score_ensemble.py',
        '--run',
        tmp_path / 'checkpoints' / name,
        '--data-dir',
        place / 'data',
    )
    for component in ensemble.NAMES:
        (line,) = [line for line in said.splitlines() if line.startswith(component)]
        assert line.split()[1:3] == [
            f'{records[-1]["test_" + kind][component]:.2f}' for kind in ('components', 'without')
        ]
    assert said.splitlines()[-1].split() == ['overall', f'{records[-1]["test_error"]:.2f}']
    assert f'top-1 error {records[-1]["test_error"]:.2f}%' in run_script(
        'score.py', '--fast', '--run', tmp_path / 'checkpoints' / name, '--data-dir', place / 'data'
    )
    # Back to the first epoch and on again: the same run.
    folder = tmp_path / 'checkpoints' / name
    before, ends = records_of(tmp_path / 'logs' / (name + '.jsonl')), arrays_of(folder, 2)
    os.remove(str(folder / 'model-0002.params'))
    run_script(*command(place, tmp_path, '--resume', name))
    assert (
        records_of(tmp_path / 'logs' / (name + '.jsonl')) == before and arrays_of(folder, 2) == ends
    )
    said = user_error(
        'train_cifar.py',
        '--resume',
        name,
        '--data-dir',
        place / 'data',
        '--log-dir',
        tmp_path / 'logs',
        '--checkpoint-dir',
        tmp_path / 'checkpoints',
    )
    assert 'is a run of study/train_ensemble.py' in said


@pytest.mark.parametrize(
    'more,network,outputs',
    [
        (('--without', 'RRR'), 'ensemble7', 7),
        pytest.param(('--no-sharing',), 'separate8', 8, marks=pytest.mark.slow),
        pytest.param(('--component', 'LLR'), 'LLR', 0, marks=pytest.mark.slow),
    ],
)
def test_the_other_experiments(place, tmp_path, more, network, outputs):
    name, (header, records) = trained(place, tmp_path, '--epochs', '1', *more)
    assert (
        header['options']['network'] == network
        and len(records[0].get('test_components', ())) == outputs
    )
    if not outputs:
        assert 'score.py' in user_error(
            'study/score_ensemble.py',
            '--run',
            tmp_path / 'checkpoints' / name,
            '--data-dir',
            place / 'data',
        )


def test_mistakes(place, tmp_path):
    for more, word in (
        (('--depth', '15'), 'nearest 14 and 17'),
        (('--component', 'XYZ'), 'invalid choice'),
        (('--component', 'LLL', '--without', 'RRR'), 'not allowed'),
    ):
        assert word in user_error(*command(place, tmp_path, *more))
