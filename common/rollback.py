"""Going back to the last checkpoint with a lower learning rate, see ``--on-nan``."""

from common.trainer import Start

ROLLBACK_FACTOR, MOST_ROLLBACKS = 0.1, 3  # the learning rate is multiplied by the factor


def rollbacks_of(records):
    """Return how often a run has gone back, by its records."""
    return records[-1].get('rollbacks', 0) if records else 0


def lowered(recipe, rollbacks):
    """Return a recipe with the learning rate that is left after so many rollbacks."""
    return recipe._replace(lr=recipe.lr * ROLLBACK_FACTOR**rollbacks)


def start_of(recipe, records, arrays):
    """Return the ``Start`` of training after the epochs of ``records``."""
    return Start(arrays, len(records), lowered(recipe, rollbacks_of(records)).lr)
