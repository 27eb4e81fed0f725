"""Parts of a Markdown document that a script writes, between two comments that a page hides.

<!-- begin runs -->
what the script writes
<!-- end runs -->
"""

import re

from system.errors import UserError

BLOCK = re.compile(
    r'<!-- begin (?P<name>\w+) -->(?P<line_end>\r?\n).*?<!-- end (?P=name) -->', re.S
)
MARK = re.compile(r'<!-- (?:begin|end) \w+ -->')


def fill(text, contents, document):
    """Return a document with new content in each of its blocks.

    Parameters
    ----------
    text : str
        The document.
    contents : dict
        {name of a block: Markdown}. The document need not have all of these blocks.
    document : str
        What an error calls the document.

    Raises
    ------
    UserError
        It has no block, one of another name, or a comment whose partner is missing.
    """
    names = ', '.join(contents)
    if not BLOCK.search(text):
        raise UserError(
            f'{document} has no place for results: put <!-- begin NAME --> and <!-- end NAME --> '
            f'into it, each on a line of its own, where NAME is one of {names}'
        )
    alone = MARK.search(BLOCK.sub('', text))
    if alone:
        raise UserError(f'{document}: {alone.group()} has no partner with the same name')

    def filled(block):
        name = block['name']
        if name not in contents:
            raise UserError(f'{document}: {name} is not one of the results, which are {names}')
        lines = f'<!-- begin {name} -->\n{contents[name].strip()}\n<!-- end {name} -->'
        return lines.replace('\n', block['line_end'])

    return BLOCK.sub(filled, text)
