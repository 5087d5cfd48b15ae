"""Reading ADBench's input files: white-space separated tokens, each file checked against what its head promises."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import numpy as np

from harness.workloads.base import Array

__all__ = ["ADBENCH_VARIABLE", "Tokens", "adbench_folder"]

ADBENCH_VARIABLE = "ADJUDGE_ADBENCH"


def adbench_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of ADBench's inputs as a path.

    Raises:
        ValueError: it has no folder ``gmm`` in it.
    """
    folder = Path(path)
    if not (folder / "gmm").is_dir():
        raise ValueError(f"adbench is {str(path)!r}: that folder does not hold ADBench's inputs (it has no gmm/ in it)")
    return folder


class Tokens:
    """The tokens of a file, taken from the front; every fault names the file.

    Args:
        what: what the file should hold, for messages: "a mixture".
        separator: what stands between tokens besides white space.

    Raises:
        ValueError: the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], what: str, separator: str = "") -> None:
        self.path, self.what, self.at = path, what, 0
        try:
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: cannot be read: {error}") from error
        self.words = (text.replace(separator, " ") if separator else text).split()

    def fail(self, fault: str) -> NoReturn:
        """Refuse the file.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{self.path}: {fault}")

    def naturals(self, count: int, names: str) -> list[int]:
        """The head: so many positive integers."""
        if len(self.words) < count:
            self.fail(f"has {len(self.words)} tokens, {self.what} begins with {_WORDS[count]}: {names}")
        head = self.words[:count]
        if not all(w.isascii() and w.isdigit() and len(w) < 10 and int(w) > 0 for w in head):
            self.fail(
                f"begins with {' '.join(head)!r}, {self.what} begins with {_WORDS[count]} positive integers {names}"
            )
        self.at = count
        return [int(w) for w in head]

    def expect(self, count: int, because: str) -> None:
        """Check that so many tokens are left.

        Raises:
            ValueError: fewer or more are.
        """
        wanted = self.at + count
        if len(self.words) != wanted:
            state = "is cut short" if len(self.words) < wanted else "is too long"
            self.fail(f"{state}: it has {len(self.words)} tokens, {because} need {wanted}")

    def numbers(self, *shape: int) -> Array:
        """The next tokens as finite numbers in that shape.

        Raises:
            ValueError: too few are left, or one is not a finite number.
        """
        count = int(np.prod(shape))
        words = self.words[self.at : self.at + count]
        if len(words) < count:
            self.fail(f"is cut short: it has {len(self.words)} tokens, {self.at + count} were to be read")
        try:
            numbers = np.array(words, dtype=np.float64)
        except ValueError as error:
            raise ValueError(f"{self.path}: holds a token that is not a number: {error}") from error
        if not np.isfinite(numbers).all():
            place = int(np.flatnonzero(~np.isfinite(numbers))[0])
            self.fail(f"token {self.at + place} is {words[place]!r}, not a finite number")
        self.at += count
        return numbers.reshape(shape)

    def indices(self, *shape: int, below: int) -> Array:
        """The next tokens as integers from 0 to below `below`.

        Raises:
            ValueError: one is not.
        """
        found = self.numbers(*shape)
        if ((found < 0) | (found >= below) | (found != np.floor(found))).any():
            self.fail(f"holds an index that is not one of 0 to {below - 1}")
        return found.astype(np.int64)


_WORDS = {1: "one", 2: "two", 3: "three"}
