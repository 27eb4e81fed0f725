"""Says what has changed between the start of a run and its going on, if it alters the results."""

import engine
from engine import operators
from system import errors


def tell(header, options, compute):
    """Print lines on stderr about what has changed since a run was started.

    Parameters
    ----------
    header : dict
        Of the log of the run.
    options : argparse.Namespace
        With which it goes on.
    compute : common.compute.Compute
    """
    _tell_machine(header, compute)
    before, now = _method(header['options']), _method(vars(options))
    if before != now:
        errors.tell(
            f'the run goes on with {now} and was started with {before}, which its log still says: '
            'do not count it as a repetition of other runs'
        )


def _tell_machine(header, compute):
    now = dict(
        operators.versions(compute.on_cpu),
        processor=engine.processor(),
        threads=engine.threads(),
        devices=len(compute.devices),
        workers=compute.workers.size,
    )
    processor = header.get('processor')
    if processor is None or now['processor'].startswith(f'{processor}, family '):
        processor = now['processor']  # older logs do not name it, or not its family and model
    before = dict(
        header['versions'],
        processor=processor,
        threads=header['threads'],
        devices=len(header.get('devices', compute.devices)),
        workers=header.get('workers', 1),
    )
    changed = [
        f'{name} {now[name]} instead of {before[name]}'
        + (f' (keep them with --threads {before[name]})' if name == 'threads' else '')
        for name in now
        if now[name] != before.get(name)
    ]
    if changed:
        errors.tell(
            f'the run goes on with {", ".join(changed)}: its results will differ from those of a '
            'run that was never stopped, as those of another seed do'
        )


def _method(options):
    """Return how gradients become updates, which ``common.resumed_options.FREE`` lets change."""
    compression = options.get('gradient_compression', 'none')
    if compression != 'none':
        compression += f' of threshold {options["compression_threshold"]:g}'
    updates = 'asynchronous' if options.get('kv_store') == 'dist_async' else 'synchronous'
    return f'{updates} updates and gradient compression {compression}'
