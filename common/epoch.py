"""The results of an epoch: its record in the log, and the line that is printed."""

import time


def record_of(trainer, trained, tested, validated=None):
    """Return the record of an epoch, see docs/logs.md.

    Parameters
    ----------
    trainer : common.trainer.Trainer
    trained : common.trainer.Trained
    tested : common.evaluate.Result
    validated : common.evaluate.Result, optional
        On the training images that are held out; None without any.
    """
    train = trained.result
    record = {
        'epoch': trainer.epoch,
        'train_loss': round(train.loss, 6),
        'train_error': round(train.error, 4),
        'test_loss': round(tested.loss, 6),
        'test_error': round(tested.error, 4),
    }
    if validated:
        record.update(
            validation_loss=round(validated.loss, 6), validation_error=round(validated.error, 4)
        )
    if trainer.batches.dataset.top5:
        record.update(train_top5=round(train.top5, 4), test_top5=round(tested.top5, 4))
    for name in ('components', 'without'):
        if getattr(tested, name):
            record['test_' + name] = {
                component: round(error, 4) for component, error in getattr(tested, name).items()
            }
    return dict(
        record,
        lr=trainer.lr(trainer.epoch),
        seconds=round(time.time() - trained.began, 3),
        images_per_second=round(trained.images_per_second, 1),
    )


def line_of(record, epochs):
    """Return the line that is printed for an epoch's record."""
    return (
        f'epoch {record["epoch"]}/{epochs}  lr {record["lr"]:g}  '
        f'train loss {record["train_loss"]:.4f} error {record["train_error"]:.2f}%  '
        f'{_validation(record)}test loss {record["test_loss"]:.4f} error '
        f'{record["test_error"]:.2f}%  '
        f'{record["images_per_second"]:.0f} images/s'
    )


def _validation(record):
    if 'validation_error' not in record:
        return ''
    loss, error = record['validation_loss'], record['validation_error']
    return f'validation loss {loss:.4f} error {error:.2f}%  '
