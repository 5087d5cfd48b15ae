"""The process in which functions are checked: it may crash or hang, and costs one row then.

It is started with the name of an engine, and speaks lines of JSON: for each request, a name and how long the checks may take,
one line a call as it is done, then one that says so.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import asdict

from harness.coverage.checks import check, engine
from harness.coverage.examples import NoExample

__all__ = ["main"]

LARGE = 300  # elements of a call beyond which it is checked at its arguments alone


def main(name: str) -> None:
    """Answer requests until standard input ends."""
    # What a framework prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    module = engine(name)

    def answer(**fields: object) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    for line in sys.stdin:
        request = json.loads(line)
        try:
            calls = module.examples(request["name"], request["calls"])
        except NoExample as error:
            answer(done=True, reason=str(error))
            continue
        for k, example in enumerate(calls):
            answer(begun=example.label)
            found = check(
                example,
                budget_seconds=request["budget_seconds"],
                call_seconds=request["call_seconds"],
                around=k < request["around"] and example.size <= LARGE,
            )
            answer(found=asdict(found))
        answer(done=True, reason="")


if __name__ == "__main__":
    main(sys.argv[1])
