"""Is a user's own gradient right? `check_gradients(fn, *args)` proves what it should be and judges what came.

The forward of the function is recorded as a program, whatever its backward says; the program's derivative is certified
like that of a drawn program, and what the framework's backward returns, the user's code included, is held against it
with the bound of the framework's kernels. A function that cannot be recorded is judged by estimates instead.

    report = check_gradients(Tanh.apply, torch.linspace(-2, 2, 5))

raises `WrongGradient` if a claim is wrong and `Undecided` if nothing could be said about the gradient; otherwise it
returns the `Report`. `harness/docs/check_gradients.md` tells how hard cases are told apart.

The course of a check is in `deciding`; `seeing` examines one point, `settling` says what a disagreement means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness import frontends
from harness.checking.asking import Check
from harness.checking.deciding import decide
from harness.checking.report import CheckFailed, Claim, Report, Undecided, Witness, WrongGradient
from harness.frontends import Subject

__all__ = ["CheckFailed", "Claim", "Report", "Undecided", "Witness", "WrongGradient", "check_gradients"]


def check_gradients(
    fn: Callable[..., Any],
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    spec: Callable[..., Any] | None = None,
    against: Callable[..., Any] | None = None,
    strategies: Any = None,
    raises: bool = True,
    around: bool = True,
    only: Sequence[str] | None = None,
    modes: bool | None = None,
    seed: int = 0,
    budget_seconds: float = 20.0,
    call_seconds: float = 30.0,
) -> Report:
    """Judge the gradient of a function of PyTorch, JAX or the reference.

    Args:
        fn: the function: a plain one, `torch.autograd.Function.apply`, an `nn.Module`, a custom operator,
            `jax.custom_vjp`, `jax.custom_jvp`, a jitted one.
        args: an example of its arguments: arrays or tensors, nested as the function takes them, and anything else.
            Gradients are wanted of the tensors that require grad, of all floating-point ones if none does.
        kwargs: keyword arguments of the function.
        spec: a plain function of the same framework whose derivative is meant: for a kernel that cannot be recorded, and
            for an intended surrogate such as a straight-through estimator. Its value may differ.
        against: the same function in another framework; its certified derivative is the truth, and its value, too.
        strategies: Hypothesis strategies, one an argument, in the place of `args`.
        raises: raise if the verdict is "wrong" or "inconclusive".
        around: draw further points: near the example, at ties and edges, at other sizes and in other layouts.
        only: names of claims to judge besides value and vjp; all by default.
        modes: judge forward over reverse, reverse over forward and forward over forward. By default PyTorch is asked, and
            what differs counts if the function has rules of its own; else a note tells of it.
        seed: decides all that is drawn.
        budget_seconds: no further point is begun after this time.
        call_seconds: a single call of the function may last so long.

    Raises:
        WrongGradient: a claim is wrong.
        Undecided: nothing could be decided about the gradient.
        TypeError: the arguments hold no floating-point tensor, or `fn` names no framework.
    """
    if strategies is not None:
        from harness.gradient_strategies import check_drawn

        if args:
            raise TypeError("strategies: they stand in the place of args; give one or the other")
        options: dict[str, Any] = {"kwargs": kwargs, "spec": spec, "against": against, "only": only, "modes": modes}
        return check_drawn(
            fn,
            strategies,
            raises=raises,
            budget_seconds=budget_seconds,
            seed=seed,
            call_seconds=call_seconds,
            **options,
        )
    if spec is not None and against is not None:
        raise TypeError("spec and against: both say what the derivative is; give one")
    started = time.monotonic()
    subject = frontends.subject(fn, args, kwargs)
    if not any(w and x.size for w, x in zip(subject.wanted, subject.arrays, strict=True)):
        kinds = ", ".join(f"{x.dtype}{list(x.shape)}" for x in subject.arrays) or "none"
        raise TypeError(f"args: a gradient needs a floating-point tensor with elements; the tensors are {kinds}")
    other = None
    if spec is not None:
        other = frontends.subject(spec, args, kwargs, framework=subject.framework)
    elif against is not None:
        other = _in_other_framework(against, args, kwargs, subject)
    check = Check(
        subject,
        other if other is not None else subject,
        surrogate=spec is not None,
        foreign=against is not None,
        rng=np.random.default_rng(seed),
        deadline=started + budget_seconds,
        call_seconds=call_seconds,
        around=around,
        only=None if only is None else frozenset(only),
        modes=modes,
    )
    report = replace(decide(check), seconds=time.monotonic() - started)
    if raises and report.verdict == "wrong":
        raise WrongGradient(report)
    if raises and report.verdict == "inconclusive":
        raise Undecided(report)
    return report


def _in_other_framework(
    against: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None, subject: Subject
) -> Subject:
    name = frontends.framework_of(against)
    if subject.framework == name:
        return frontends.subject(against, args, kwargs)
    plain = [subject.arrays[i] for i in range(subject.arguments)]
    if len(subject.arrays) != subject.arguments:
        raise TypeError("against: the function has parameters of its own, which the other one does not get")
    return frontends.subject(against, plain, kwargs, framework=name)
