"""Progress of a long run on standard error: a live bar on a terminal, else a line now and then.

It starts no thread: whoever works calls it, and it draws at most ten times a second, so that it disturbs no timing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from harness import verify

__all__ = ["Live"]


class Live:
    """A context in which progress is shown.

    Args:
        verb: what is going on, such as "judging".
    """

    def __init__(self, verb: str) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task(verb, total=1.0, text="")
        self._pause = 0.1 if self._console.is_terminal else 10.0
        self._told = time.monotonic()

    def __enter__(self) -> Live:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def tell(self, share: float, text: str) -> None:
        """Show how far it is (0 to 1) and a few words, unless something was shown just before."""
        now = time.monotonic()
        if now - self._told < self._pause:
            return
        self._told = now
        if self._console.is_terminal:
            self._bar.update(self._task, completed=min(share, 1.0), text=text, refresh=True)
        else:
            click.echo(f"{min(share, 1.0):4.0%}  {text}", err=True)

    def verify(self, budget_seconds: float, max_programs: int | None) -> Callable[[verify.Progress], None]:
        """Return what `run_verify` calls after each program."""

        def show(done: verify.Progress) -> None:
            share = max(done.seconds / budget_seconds, done.programs / max_programs if max_programs else 0.0)
            undecided = 100 * done.undecided / done.elements if done.elements else 0.0
            found = f"{done.disagreements:,} disagreement{'' if done.disagreements == 1 else 's'}"
            counts = f"{done.programs:,} programs  {done.points:,} points  {found}"
            self.tell(share, f"{counts}  {undecided:.2g} % inconclusive")

        return show

    def bench(self, done: int, total: int, text: str) -> None:
        """Show what `run_bench` is about to time."""
        self.tell(done / total if total else 1.0, f"{done}/{total}  {text}")
