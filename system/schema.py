"""Parsing JSON files that may be damaged or written by another program, with a schema check.

Each kind of file (log, state of a checkpoint, manifest) has one JSON Schema, in the module that
reads it. fastjsonschema does the checking.
"""

import json

import fastjsonschema


def _refuse_constant(constant):
    raise ValueError(f'{constant} is not a number')


def checker(schema):
    """Return a function that parses a JSON text and checks its value against a JSON Schema.

    The function returns the value. It raises ``ValueError``, with a short reason, for a text that
    is not JSON, is nested too deeply to be parsed, or has a value that does not fit the schema.
    """
    validate = fastjsonschema.compile(schema)

    def parse(text):
        try:
            value = json.loads(text, parse_constant=_refuse_constant)
            validate(value)
        except RecursionError:
            raise ValueError('it is nested too deeply') from None
        except fastjsonschema.JsonSchemaValueException as error:
            raise ValueError(error.message.replace('data', 'the value', 1)[:200]) from None
        return value

    return parse
