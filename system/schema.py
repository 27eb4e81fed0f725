"""JSON from files that may be damaged, or written by somebody else: parsed and checked in one step.

Each kind of file (log, state of a checkpoint, manifest) has one JSON Schema, in the module that
reads it. The check itself is fastjsonschema's.
"""

import json

import fastjsonschema


def _refuse(constant):
    raise ValueError(f'{constant} is not a number')


def checker(schema):
    """Return a function that takes a JSON text and returns its value, checked against a JSON Schema.

    The function raises ``ValueError``, whose text says what is wrong in a few words, for a text
    that is not JSON, that is nested too deeply to be parsed, or whose value does not fit the
    schema.
    """
    fits = fastjsonschema.compile(schema)

    def parse(text):
        try:
            value = json.loads(text, parse_constant=_refuse)
            fits(value)
        except RecursionError:
            raise ValueError('it is nested too deeply') from None
        except fastjsonschema.JsonSchemaValueException as error:
            raise ValueError(error.message.replace('data', 'the value', 1)[:200]) from None
        return value

    return parse
