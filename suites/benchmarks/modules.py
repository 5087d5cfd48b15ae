"""Check the gradients of the modules in PyTorch's own test database, at the inputs that stand there.

    python -m suites.benchmarks.modules [--samples 4] [--only GroupNorm]

For each module of `torch.testing._internal.common_modules.module_db`, in float64 and training mode, the first samples are
handed to `check_gradients`. One line a sample; reports of what is not right; the sums at the end.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Print a line a sample and the sums."""
    import torch
    from torch.testing._internal.common_modules import module_db

    from harness import check_gradients

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=4, help="of each module")
    parser.add_argument("--only", default="", help="modules whose names contain this")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # PyTorch's own, about samples that are meant to be odd
    sums: Counter[str] = Counter()
    names: set[str] = set()
    for info in module_db:
        if options.only not in info.name:
            continue
        samples: list[Any] = info.module_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=True, training=True
        )
        for k, sample in enumerate(samples[: options.samples]):
            torch.manual_seed(0)
            made, call = sample.constructor_input, sample.forward_input
            module = info.module_cls(*made.args, **made.kwargs).to(torch.float64)
            started = time.perf_counter()
            try:
                report = check_gradients(module, *call.args, kwargs=call.kwargs, raises=False)
            except ValueError as error:  # of a lazy module, which has no parameters yet
                verdict = f"refused: {str(error).splitlines()[0][:60]}"
            else:
                verdict = f"{report.verdict}{', proved' if report['vjp'].proved else ''}"
                if report.verdict != "right":
                    print(report)
            print(f"{info.name} {k} {sample.desc}: {verdict}, {time.perf_counter() - started:.2f} s", flush=True)
            sums[verdict] += 1
            names.add(info.name)
    print(f"{sum(sums.values())} samples of {len(names)} modules")
    for verdict, n in sums.most_common():
        print(f"{n:6d}  {verdict}")


if __name__ == "__main__":
    main()
