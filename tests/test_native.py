"""The CPU operators against MXNet's own, and their build."""

import json
import os
import shutil
import subprocess
import sys

import numpy
import pytest
from scripts import ROOT, run_script

from engine import build as building
from engine import mx, operators

TERMS = [
    'bn*1.0',
    'map*1.0,bn*1.0',
    'map*0.5,map*0.5',
    'bn*0.5,bn*0.5',
    'map*1.0,bn*1.0,bn*1.0',
    'map*2.0,bn*1.0,map*-0.5,bn*3.0',
]


def normal(*shape, seed=0, scale=1.0):
    return (scale * numpy.random.RandomState(seed).randn(*shape)).astype('float32')


DEFAULTS = {
    '_dfn_convolution': {'moments': 1, 'data_gradient': 1, 'link_in': 0, 'link_out': 0},
    '_dfn_combine': {'outputs': 1, 'relu': 1, 'train': 1, 'eps': 2e-5, 'momentum': 0.9},
    '_dfn_folded_convolution': {'normalised': 0, 'relu': 1},
}


def build(op, inputs, **attrs):
    """Return a symbol of one operator over variables with these inputs' names and shapes."""
    attrs = {**DEFAULTS.get(op, {}), **attrs}
    nodes = [
        {'op': 'null', 'name': name, 'inputs': [], 'attrs': {'__shape__': str(array.shape)}}
        for name, array in inputs.items()
    ]
    nodes.append(
        {
            'op': op,
            'name': 'op',
            'inputs': [[i, 0, 0] for i in range(len(inputs))],
            'attrs': {key: str(value) for key, value in attrs.items()},
        }
    )
    outputs = {
        '_dfn_convolution': 2 + attrs.get('link_out', 0),
        '_dfn_combine': attrs.get('outputs'),
    }.get(op, 1)
    heads = [[len(inputs), output, 0] for output in range(outputs)]
    return mx.sym.load_json(
        json.dumps(
            {
                'nodes': nodes,
                'arg_nodes': list(range(len(inputs))),
                'heads': heads,
                'attrs': {'mxnet_version': ['int', 10901]},
            }
        )
    )


def run(symbol, values, *gradients):
    """Return the outputs, the gradients for those of the first outputs, and the auxiliary
    states.
    """
    assert operators.load()
    executor = symbol.simple_bind(mx.cpu(), grad_req='write' if gradients else 'null')
    for name, array in {**executor.arg_dict, **executor.aux_dict}.items():
        array[:] = values[name]
    executor.forward(is_train=bool(gradients))
    if gradients:
        zeros = [mx.nd.zeros_like(output) for output in executor.outputs[len(gradients) :]]
        executor.backward(list(map(mx.nd.array, gradients)) + zeros)
    return (
        [output.asnumpy() for output in executor.outputs],
        {name: array.asnumpy() for name, array in executor.grad_dict.items() if array is not None},
        {name: array.asnumpy() for name, array in executor.aux_dict.items()},
    )


def close(found, expected, tolerance=2e-6):
    assert abs(found - expected).max() <= tolerance * abs(expected).max()


def last(array):
    return numpy.ascontiguousarray(array.transpose(0, 2, 3, 1))


def first(array):
    return array.transpose(0, 3, 1, 2)


@pytest.mark.parametrize('size', [(32, 32), (8, 8), (4, 12), (7, 7), (6, 9), (5, 5), (14, 3)])
@pytest.mark.parametrize(
    'inputs,outputs,kernel,stride',
    [
        (16, 16, 3, 1),
        (16, 48, 3, 1),
        (32, 16, 3, 2),
        (64, 64, 3, 1),
        (3, 16, 3, 1),
        (16, 32, 1, 2),
        (32, 32, 1, 1),
        (5, 16, 1, 1),
        (3, 16, 7, 2),
        (16, 48, 5, 1),
    ],
)
def test_convolution(size, inputs, outputs, kernel, stride):
    """Kernels of 3x3 at stride 1 go by Winograd's algorithm where tiles of 4x4 cover not much more
    than the map, others do not; both must be right.
    """
    x, w = normal(5, inputs, *size), normal(outputs, inputs, kernel, kernel, seed=1)
    plain = mx.sym.Convolution(
        mx.sym.Variable('x', shape=x.shape),
        num_filter=outputs,
        kernel=(kernel, kernel),
        no_bias=True,
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
        name='c',
    )
    above = normal(*plain.infer_shape(x=x.shape)[1][0], seed=2)
    expected, gradients, _ = run(plain, {'x': x, 'c_weight': w}, above)
    wanted = inputs % 16 == 0
    symbol = build(
        '_dfn_convolution',
        {'x': last(x), 'w': w},
        kernel=kernel,
        stride=stride,
        outputs=outputs,
        data_gradient=int(wanted),
    )
    found, ours, _ = run(symbol, {'x': last(x), 'w': w}, last(above))
    close(first(found[0]), expected[0], 1e-5)
    close(ours['w'], gradients['c_weight'], 1e-5)
    if wanted:
        close(first(ours['x']), gradients['x'], 1e-5)
    close(found[1][0], expected[0].mean(axis=(0, 2, 3)), 1e-4)
    close(found[1][1], expected[0].var(axis=(0, 2, 3)), 1e-5)


@pytest.mark.parametrize(
    'kernel,stride,size', [(3, 1, 8), (3, 1, 7), (3, 2, 8), (1, 2, 8), (1, 1, 8)]
)
def test_gradient_accumulation(kernel, stride, size):
    """What arrives at link_out is added to the gradient of data, which goes to link_in if
    it exists.
    """
    x, w = normal(5, size, size, 16), normal(32, 16, kernel, kernel, seed=1)
    plain = build('_dfn_convolution', {'x': x, 'w': w}, kernel=kernel, stride=stride, outputs=32)
    above, more = normal(*plain.infer_shape()[1][0], seed=2), normal(*x.shape, seed=3)
    expected, gradients, _ = run(plain, {'x': x, 'w': w}, above)
    inputs = {'x': x, 'w': w, 'r': 0 * x}
    moments = numpy.zeros((2, 32), 'float32')
    for given in ('x', 'w'), ('x', 'w', 'r'):
        values = {name: inputs[name] for name in given}
        found, ours, _ = run(
            build(
                '_dfn_convolution',
                values,
                kernel=kernel,
                stride=stride,
                outputs=32,
                link_in=len(given) - 2,
                link_out=1,
            ),
            values,
            above,
            moments,
            more,
        )
        assert (found[0] == expected[0]).all() and (ours['w'] == gradients['w']).all()
        close(ours[given[-1] if 'r' in given else 'x'], gradients['x'] + more, 1e-6)


def terms_with_inputs(terms, shape):
    """Return MXNet's symbol of relu(sum of terms), the inputs of ours, and all values."""
    values, ours, total = {}, {}, 0
    for number, term in enumerate(terms.split(',')):
        kind, scale = term.split('*')
        x = values[f'x{number}'] = normal(*shape, seed=number) + number
        ours[f'x{number}'] = last(x)
        data = mx.sym.Variable(f'x{number}', shape=shape)
        if kind == 'bn':
            names = [f'n{number}_{part}' for part in ('gamma', 'beta', 'moving_mean', 'moving_var')]
            ours[f'm{number}'] = numpy.stack([x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))])
            for seed, name in enumerate(names):
                ours[name] = values[name] = abs(normal(shape[1], seed=10 + seed)) + 0.5
            data = mx.sym.BatchNorm(
                data, fix_gamma=False, eps=2e-5, momentum=0.9, name=f'n{number}'
            )
        total = data * float(scale) + total
    return mx.sym.relu(total), ours, values


@pytest.mark.parametrize('train', (1, 0))
@pytest.mark.parametrize('terms', TERMS)
def test_combine(terms, train):
    shape = (6, 32, 5, 7)
    plain, ours, values = terms_with_inputs(terms, shape)
    above = normal(*shape, seed=5)
    expected, gradients, moved = run(plain, values, *[above] * train)
    symbol = build('_dfn_combine', ours, terms=terms, train=train)
    found, mine, statistics = run(symbol, ours, *[last(above)] * train)
    close(first(found[0]), expected[0], 1e-5)
    for name, array in gradients.items():
        close(first(mine[name]) if array.ndim == 4 else mine[name], array, 1e-5)
    for name, array in moved.items():
        close(statistics[name], array, 1e-5)


@pytest.mark.parametrize(
    'shared', ['map*0.5,map*0.5', 'bn*0.5,bn*0.5', 'linked*0.5,map*2.0', 'map*-0.5']
)
def test_two_outputs_are_two_sums_of_the_shared_terms(shared):
    """They are what two operators of one output give, of which the gradients of the shared terms
    are added up.
    """
    shape, count = (6, 32, 5, 7), len(shared.split(','))
    everything = terms_with_inputs(shared.replace('linked', 'map') + ',bn*1.0,bn*3.0', shape)[1]
    last_two = (f'{count}', f'{count + 1}')
    singles = []
    above = [last(normal(*shape, seed=7)), last(normal(*shape, seed=8))]
    for term, other, gradient in zip(('bn*1.0', 'bn*3.0'), last_two[::-1], above):
        mine = {name: value for name, value in everything.items() if name[1] != other}
        singles.append(
            run(
                build('_dfn_combine', mine, terms=shared.replace('linked', 'map') + ',' + term),
                mine,
                gradient,
            )
        )
    if 'linked' in shared:
        everything = {'x0': everything.pop('x0'), 'r0': 0 * everything['x1'], **everything}
    found, gradients, statistics = run(
        build('_dfn_combine', everything, terms=shared + ',bn*1.0,bn*3.0', outputs=2),
        everything,
        *above,
    )
    for output, single in zip(found, singles):
        close(output, single[0][0], 1e-6)
        for name, array in single[2].items():
            close(statistics[name], array, 1e-6)
    for name in set(singles[0][1]) | set(singles[1][1]):
        if name[0] != 'm':
            expected = sum(single[1].get(name, 0) for single in singles)
            close(gradients['r0' if name == 'x0' and 'r0' in everything else name], expected, 1e-5)


def test_pool():
    x = normal(3, 5, 7, 32)
    found, gradients, _ = run(build('_dfn_pool', {'x': x}), {'x': x}, normal(3, 32, seed=1))
    close(found[0], x.mean(axis=(1, 2)))
    close(gradients['x'], numpy.broadcast_to(normal(3, 32, seed=1)[:, None, None] / 35, x.shape))


@pytest.mark.parametrize(
    'batch,size,inputs,kernel,stride',
    [
        (1, 8, 16, 3, 1),
        (1, 32, 16, 3, 1),
        (3, 8, 32, 3, 1),
        (1, 7, 16, 3, 1),
        (1, 8, 16, 3, 2),
        (1, 6, 3, 3, 1),
        (2, 9, 3, 7, 2),
        (2, 6, 300, 1, 1),
    ],
)
def test_prepared_weights(batch, size, inputs, kernel, stride):
    """They give the bits that the weights themselves give, in both kinds of convolution."""
    values = {
        'x': normal(batch, size, size, inputs),
        'w': normal(32, inputs, kernel, kernel, seed=1),
        'bias': normal(32, seed=2),
    }
    geometry = dict(kernel=kernel, stride=stride, outputs=32)
    prepared = operators.function('_dfn_prepared_weights')(
        mx.nd.array(values['w']), inputs=inputs, height=size, width=size, **geometry
    )
    attrs = dict(geometry, scale=1.0, maps='')
    symbol = build('_dfn_folded_convolution', values, **attrs)
    given = dict(values, w=prepared.asnumpy())
    other = build('_dfn_folded_convolution', given, **attrs)
    assert (run(symbol, values)[0][0] == run(other, given)[0][0]).all()


@pytest.mark.parametrize('kernel', [1, 3])
@pytest.mark.parametrize('maps', ['', '1.0', '0.5,-2.0'])
@pytest.mark.parametrize('normalised', [0, 1])
def test_folded_convolution(normalised, maps, kernel):
    x, w = normal(3, 8, 8, 16), normal(32, 16, kernel, kernel, seed=1)
    names = ('gamma', 'beta', 'mean', 'variance') if normalised else ('bias',)
    parameters = {name: normal(32, seed=10 + at) for at, name in enumerate(names)}
    conv = mx.nd.Convolution(
        mx.nd.array(first(x)),
        mx.nd.array(w),
        num_filter=32,
        kernel=(kernel, kernel),
        pad=(kernel // 2, kernel // 2),
        no_bias=True,
    ).asnumpy()
    column = {name: array[:, None, None] for name, array in parameters.items()}
    if normalised:
        parameters['variance'] **= 2
        deviation = numpy.sqrt(column['variance'] + 0.01)
        expected = column['gamma'] * (conv - column['mean']) / deviation + column['beta']
    else:
        expected = conv + column['bias']
    expected = 1.5 * expected
    inputs = {'x': x, 'w': w, **parameters}
    for number, factor in enumerate(filter(None, maps.split(','))):
        inputs[f'map{number}'] = normal(3, 8, 8, 32, seed=3 + number)
        expected += float(factor) * first(inputs[f'map{number}'])
    symbol = build(
        '_dfn_folded_convolution',
        inputs,
        kernel=kernel,
        stride=1,
        outputs=32,
        scale=1.5,
        maps=maps,
        normalised=normalised,
        eps=0.01,
    )
    (found,), _, statistics = run(symbol, inputs)
    close(first(found), numpy.maximum(expected, 0), 1e-5)
    assert set(statistics) == set(names[2:])
    assert all((statistics[name] == parameters[name]).all() for name in statistics)


@pytest.mark.parametrize('size', [(8, 8), (7, 10)])
@pytest.mark.parametrize('kernel,stride', [(3, 2), (5, 1)])
def test_max_pool(kernel, stride, size):
    x = normal(2, *size, 32) - 3  # negative, or zeros around the map would be the largest
    expected = mx.nd.Pooling(
        mx.nd.array(first(x)),
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
        pool_type='max',
    )
    symbol = build('_dfn_max_pool', {'x': x}, kernel=kernel, stride=stride)
    assert (first(run(symbol, {'x': x})[0][0]) == expected.asnumpy()).all()


def test_a_nan_stays_one():
    """A ReLU that made 0 of it would hide a run that has diverged."""
    x = normal(2, 4, 4, 16)
    x[1, 2, 3, 4] = numpy.nan
    found = run(
        build(
            '_dfn_convolution', {'x': x, 'w': normal(16, 16, 3, 3)}, kernel=3, stride=1, outputs=16
        ),
        {'x': x, 'w': normal(16, 16, 3, 3)},
    )[0]
    assert (
        numpy.isnan(found[0][1]).any()
        and not numpy.isnan(found[0][0]).any()
        and numpy.isnan(found[1]).all()
    )
    plain, ours, _ = terms_with_inputs('map*1.0,bn*1.0', (2, 16, 4, 4))
    ours['x0'][0, 0, 0, 0] = numpy.nan
    found = run(build('_dfn_combine', ours, terms='map*1.0,bn*1.0'), ours)[0][0]
    assert numpy.isnan(found).sum() == 1


def test_denormal_numbers_are_flushed():
    """1e-39 is below the least normal number; on some processors arithmetic with such numbers is
    slow.
    """
    for size in (4, 7):
        x = numpy.full((2, size, size, 16), 1e-39, 'float32')
        found = run(
            build(
                '_dfn_convolution',
                {'x': x, 'w': normal(16, 16, 3, 3)},
                kernel=3,
                stride=1,
                outputs=16,
            ),
            {'x': x, 'w': normal(16, 16, 3, 3)},
        )[0][0]
        assert x.any() and not found.any()


@pytest.mark.parametrize('attrs,shape', [({'outputs': 8}, (1, 4, 4, 16)), ({}, (4, 4, 16))])
def test_what_the_operators_refuse(attrs, shape):
    x = normal(*shape)
    symbol = build(
        '_dfn_convolution',
        {'x': x, 'w': normal(16, 16, 3, 3)},
        **dict(dict(kernel=3, stride=1, outputs=16), **attrs),
    )
    assert operators.load()
    with pytest.raises(Exception, match='must be'):
        symbol.simple_bind(mx.cpu())


@pytest.mark.parametrize('threads', (1, 2, 3, 5))
def test_any_number_of_threads(threads):
    said = run_script(
        '-c',
        'import hashlib, sys; sys.path[:0] = ["tests", "tests/helpers"]\n'
        'from test_native import test_convolution as c, test_combine as b\n'
        'from test_native import test_prepared_weights as p\n'
        'c((8, 8), 16, 48, 3, 1); c((7, 7), 32, 16, 3, 2); b("map*1.0,bn*1.0", 1); '
        'p(1, 8, 16, 3, 1); p(1, 6, 3, 3, 1); print("right")',
        OMP_NUM_THREADS=str(threads),
    )
    assert said == 'right\n'


# ---- the build ----


def folder_of_mxnet():
    return os.path.dirname(mx.base.__file__)


@pytest.mark.slow
def test_built_once(tmp_path, capsys):
    path = building.library(folder_of_mxnet(), str(tmp_path))
    assert 'compiling' in capsys.readouterr().err and sorted(os.listdir(str(tmp_path))) == [
        os.path.basename(path),
        os.path.basename(path) + '.sha256',
        'lock',
    ]
    made = os.stat(path).st_mtime_ns
    assert (
        building.library(folder_of_mxnet(), str(tmp_path)) == path
        and os.stat(path).st_mtime_ns == made
    )
    assert capsys.readouterr().err == ''


def test_a_change_of_the_sources_or_options_makes_another_library(tmp_path, monkeypatch):
    command = ['c++']
    before = building._fingerprint(command, folder_of_mxnet())
    shutil.copytree(building.HERE, str(tmp_path / 'native'))
    monkeypatch.setattr(building, 'HERE', str(tmp_path / 'native'))
    assert building._fingerprint(command, folder_of_mxnet()) == before
    with monkeypatch.context() as patch:
        patch.setattr(building, 'NATIVE', '-march=x86-64-v3')
        assert building._fingerprint(command, folder_of_mxnet()) != before
    with open(str(tmp_path / 'native' / 'vec.h'), 'a') as file:
        file.write('// changed\n')
    assert building._fingerprint(command, folder_of_mxnet()) != before
    assert building._fingerprint(['sh'], folder_of_mxnet()) != before  # another program


def test_the_version_of_the_sources(tmp_path, monkeypatch):
    """A log tells runs of other code apart; a comment is none."""
    shutil.copytree(building.HERE, str(tmp_path / 'native'))
    monkeypatch.setattr(building, 'HERE', str(tmp_path / 'native'))
    version = building.sources_version.__wrapped__
    before = version()
    assert operators.versions()['operators'] == f'native-{building.sources_version()}'
    for text, same in (('// a comment\n\n', True), ('int another;\n', False)):
        with open(str(tmp_path / 'native' / 'vec.h'), 'a') as file:
            file.write(text)
        assert (version() == before) == same


OPERATORS = (
    'from engine import operators, set_threads; set_threads(1); '
    'print(operators.versions()["operators"])'
)


@pytest.mark.parametrize(
    'environment,word',
    [
        ({'CXX': 'false'}, 'false failed'),
        ({'PATH': '/nowhere', 'CXX': ''}, 'requirements-compiler.txt'),
        ({'PATH': '/nowhere', 'CXX': ' '}, 'requirements-compiler.txt'),
        ({'DFN_NATIVE': '0'}, None),
    ],
)
def test_without_a_compiler_mxnets_operators_do_the_work(environment, word):
    done = subprocess.run(
        [sys.executable, '-c', OPERATORS],
        cwd=ROOT,
        env=dict(os.environ, **environment),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, 'mxnet\n')
    lines = [line for line in done.stderr.splitlines() if 'compiling' not in line]
    assert (
        lines == []
        if word is None
        else len(lines) == 1 and word in lines[0] and "MXNet's own operators" in lines[0]
    )
