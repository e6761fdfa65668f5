"""`reserve` typed at the machine, run in this process: a process of its own spends a second on imports each time.

Everything but the start of the process is the command's own: its words, streams, settings, folder and exit status.
Each family of commands is started once as a real process too.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from api import cli


class Typed(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def typed(*words: str, folder: Path, stdin: str = "", **settings: str) -> Typed:
    """What a person sees who types `reserve words...` in that folder, with these settings and no others."""
    with surroundings(words, folder, stdin, settings) as (out, err):
        try:
            cli.main()
            code: object = 0
        except SystemExit as left:
            code = left.code or 0
        assert isinstance(code, int), code
        return Typed(code, read(out), read(err))


@contextmanager
def surroundings(
    words: tuple[str, ...], folder: Path, stdin: str, settings: dict[str, str]
) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RESERVE_")]:
            patch.delenv(name)
        for name, value in {"COLUMNS": "200", **settings}.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["reserve", *words])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        yield out, err


def read(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
