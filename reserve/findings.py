"""What a check of the books says: one thing wrong, in one line."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing wrong: a stable code, and a sentence that names the row."""

    code: str
    sentence: str
