"""Programs per second of the main job, and where the time goes.

    python suites/benchmarks/throughput.py --programs 2000 --seed 5
    python suites/benchmarks/throughput.py --programs 200 --backends jax-jit --every-program --warm-up 100

Prints wall and CPU time, programs per second by both, and the share of each phase: its own time alone.
Programs are counted after the warm-up; what is shrunk is included, and by default every point in half precision.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from harness import backends, examine, triage, verify
from harness.environment import cpu_name, versions
from harness.floats import DTYPES
from harness.oracles import certificate

PHASES: dict[str, tuple[tuple[Any, str], ...]] = {
    "draw programs": ((verify, "draw"),),
    "put at points": ((verify, "_case"),),
    "count what is drawn": ((verify.Drawn, "point"), (verify.Drawn, "program"), (verify.Drawn, "rendering")),
    "name the program": ((verify.serial, "program_id"),),
    "certificate: balls": ((verify, "certify"), (examine, "certify")),
    "certificate: series": ((certificate, "_second_pass"),),
    "bounds": ((examine, "enclose_backend"),),
    "judgement": ((examine, "judge"),),
    "rows": ((verify, "_row"),),
    "triage and shrinking": ((verify, "isolated"), (verify, "_shrunk"), (verify, "smallest"), (triage, "isolated")),
}


class Clock:
    """Adds up CPU time by phase; what one phase spends in another counts for the inner one."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.running = ["the rest"]
        self.since = time.process_time()

    def turn(self) -> None:
        """Put the time since the last turn down to the phase that runs."""
        now = time.process_time()
        self.spent[self.running[-1]] += now - self.since  # type: ignore[assignment]  # seconds, not counts
        self.since = now

    def timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, on this clock."""

        @functools.wraps(function)
        def inside(*args: Any, **options: Any) -> Any:
            # What triage asks of other phases is its own.
            named = self.running[-1] if self.running[-1] == "triage and shrinking" else phase
            self.turn()
            self.running.append(named)
            try:
                return function(*args, **options)
            finally:
                self.turn()
                self.running.pop()

        return inside


@contextmanager
def clocked(names: list[str]) -> Iterator[Clock]:
    """Time the phases, and what each backend does, inside the block."""
    clock = Clock()
    changed = [(owner, name, getattr(owner, name), phase) for phase, places in PHASES.items() for owner, name in places]
    for engine in {type(backends.get(name)) for name in names}:
        phase = "run " + engine.__module__.rpartition(".")[2].partition("_")[0]
        changed.append((engine, "prepare", engine.prepare, phase))
    for owner, name, function, phase in changed:
        made = clock.timed(phase, function)
        if name == "prepare":
            made = _with_thunk(clock, phase, made)
        setattr(owner, name, made)
    try:
        yield clock
    finally:
        for owner, name, function, _ in changed:
            setattr(owner, name, function)


def _with_thunk(clock: Clock, phase: str, prepare: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: clock.timed(phase, prepare(*args))


@click.command()
@click.option("--programs", default=2000, show_default=True, help="How many programs to time.")
@click.option("--warm-up", default=0, show_default=True, help="How many to examine before.")
@click.option("--backends", "names", default="reference,torch", show_default=True)
@click.option("--seed", default=5, show_default=True)
@click.option("--dtypes", default=",".join(DTYPES), show_default=True)
@click.option("--ops", help="The ops to draw from, separated by commas; by default all.")
@click.option("--every-program", is_flag=True, help="Compiling backends get every program, not one in eight.")
@click.option("--phases/--no-phases", default=True, show_default=True, help="Time phases, which itself takes 2 %.")
def main(
    programs: int,
    warm_up: int,
    names: str,
    seed: int,
    dtypes: str,
    ops: str | None,
    every_program: bool,
    phases: bool,
) -> None:
    """Time the main job on one core: pin it, as with `taskset -c 0`."""
    if every_program:
        verify.JAX_SHARE = 1
    engines = names.split(",")
    for name in engines:
        backends.get(name)
    run = functools.partial(
        verify.run_verify,
        backends_=engines,
        dtypes=dtypes.split(","),
        ops=ops.split(",") if ops else None,
        budget_seconds=36000.0,
        command="throughput",
    )
    if warm_up:
        run(max_programs=warm_up, seed=seed + 1)
    spent: Counter[str] = Counter()
    wall, cpu = time.perf_counter(), time.process_time()
    if phases:
        with clocked(engines) as clock:
            result = run(max_programs=programs, seed=seed)
            clock.turn()
        spent = clock.spent
    else:
        result = run(max_programs=programs, seed=seed)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if result.failure is not None:
        raise result.failure
    n, rows = result.info.programs, result.rows
    print(f"{cpu_name()}; " + ", ".join(f"{k} {v}" for k, v in versions().items()))
    judged = sum(r.element_count for r in rows)
    print(
        f"{n} programs at {result.info.points / n:.2f} points, {len(rows)} verdicts on {judged} elements, seed {seed}"
    )
    print(f"wall {wall:.1f} s, {n / wall:.1f} programs/s; CPU {cpu:.1f} s, {n / cpu:.1f} programs/s")
    for phase, seconds in spent.most_common():
        print(f"  {seconds / n * 1e3:7.2f} ms/program  {seconds / cpu:6.1%}  {phase}")


if __name__ == "__main__":
    main()
