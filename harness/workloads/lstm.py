"""ADBench's diagonal LSTM: the mean log-loss of a network of cells whose weight matrices are diagonal.

`lstm(layers)` gives the workload, `read_lstm` reads the published input files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from harness.workloads.base import Array, Input, PullBack, Workload
from harness.workloads.files import Tokens

__all__ = ["WIDTH", "lstm", "read_lstm", "rows"]

WIDTH = 14
"""Elements of a token, a state and a gate in the published files."""

_GATES = 4


def rows(adbench: Path | None) -> list[Workload]:
    """The workloads of this family: two and four layers."""
    return [lstm(2, adbench=adbench), lstm(4, adbench=adbench)]


def lstm(layers: int, *, adbench: Path | None = None, sizes: tuple[int, ...] = (64, 1_024, 4_096)) -> Workload:
    """The mean negative log-likelihood of each token given those before it.

    A token x passes through `layers` cells. With f = s(x W0 + b0), i = s(h W1 + b1), o = s(x W2 + b2), g = tanh(h W3 + b3)
    a cell's state becomes c f + i g and its output h = o tanh(c); it is the next cell's x. Products are elementwise, s is
    the logistic function. The prediction is p = h a1 + a2, the first cell gets the token times a0, and the loss of the next
    token y is ``-sum(y (p - log(2 + sum exp(p))))``: the 2 is as published.

    Args:
        adbench: folder that holds ADBench's ``lstm/``, of 1024 and 4096 tokens; None draws inputs.
        sizes: numbers of tokens.

    Source: ADBench's objective; Srajer, Kukelova, Fitzgibbon (2018).
    """

    def generate(tokens: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        shapes = [(2 * layers, _GATES * WIDTH), (3, WIDTH), (2 * layers, WIDTH)]
        sequence = (rng.uniform(0, 1, (tokens, WIDTH)) < 0.3).astype(dtype)
        return (*(rng.uniform(0, 1, shape).astype(dtype) for shape in shapes), sequence)

    def read(tokens: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        assert adbench is not None
        published = 4_096 if tokens > 1_024 else 1_024
        inputs = read_lstm(adbench / "lstm" / f"lstm_l{layers}_c{published}.txt", dtype=dtype)
        return (*inputs[:3], np.asarray(inputs[3])[:tokens])

    return Workload(
        f"lstm_l{layers}", f"mean log-loss of a diagonal LSTM of {layers} layers", sizes,
        generate if adbench is None else read, _lstm, _lstm_jax, _lstm_by_hand, wrt=(0, 1),
        origin="generated" if adbench is None else str(adbench), family="objectives", counts=True,
    )  # fmt: skip


def read_lstm(path: str | os.PathLike[str], *, dtype: str = "float64") -> tuple[Input, ...]:
    """Inputs of the LSTM objective from one of ADBench's files.

    Returns:
        weights and biases of each layer in turn (2 layers, 4 width), the three rows around them (3, width), state: h and c
        of each layer in turn (2 layers, width), tokens (n, width).

    Raises:
        ValueError: the file cannot be read, holds a token that is not a finite number, or does not hold as many tokens as
            its first line promises.
    """
    tokens = Tokens(path, "an LSTM")
    layers, count, width = tokens.naturals(3, "layers tokens width")
    tokens.expect(
        (_GATES + 1) * 2 * layers * width + 3 * width + count * width, f"layers={layers} tokens={count} width={width}"
    )
    shapes = [(2 * layers, _GATES * width), (3, width), (2 * layers, width), (count, width)]
    return tuple(tokens.numbers(*shape).astype(dtype) for shape in shapes)


def _lstm(T: Any, main: Any, extra: Any, state: Any, sequence: Any) -> Any:
    layers, width, steps = main.shape[0] // 2, extra.shape[1], sequence.shape[0] - 1
    cuts = [slice(g * width, (g + 1) * width) for g in range(_GATES)]
    weights = [[(main[2 * i, cut], main[2 * i + 1, cut]) for cut in cuts] for i in range(layers)]
    scale, out_scale, out_bias = extra[0], extra[1], extra[2]
    hidden = [state[2 * i] for i in range(layers)]
    cells = [state[2 * i + 1] for i in range(layers)]
    sigmoid, tanh = T.sigmoid, T.tanh
    outputs = []
    for t in range(steps):
        x = sequence[t] * scale
        for i, ((wf, bf), (wi, bi), (wo, bo), (wg, bg)) in enumerate(weights):
            h = hidden[i]
            cells[i] = cell = cells[i] * sigmoid(x * wf + bf) + sigmoid(h * wi + bi) * tanh(h * wg + bg)
            hidden[i] = x = sigmoid(x * wo + bo) * tanh(cell)
        outputs.append(x)
    return _loss(T, T.stack(outputs) * out_scale + out_bias, sequence)


def _loss(T: Any, predicted: Any, sequence: Any) -> Any:
    expected = sequence[1:]
    log_total = T.log(T.sum(T.exp(predicted), dim=1, keepdim=True) + 2)
    return T.sum(expected * (log_total - predicted)) / (expected.shape[0] * expected.shape[1])


def _lstm_jax(jax: Any, main: Any, extra: Any, state: Any, sequence: Any) -> Any:
    # A loop of thousands of steps is written as a scan: unrolled, it would compile for minutes.
    jnp, sigmoid = jax.numpy, jax.nn.sigmoid
    layers, width = main.shape[0] // 2, extra.shape[1]
    weights = main.reshape(layers, 2, _GATES, width)

    def step(carried: Any, token: Any) -> Any:
        hidden, cells = carried
        x, new_hidden, new_cells = token * extra[0], [], []
        for i in range(layers):
            (wf, wi, wo, wg), (bf, bi, bo, bg) = weights[i]
            h = hidden[i]
            cell = cells[i] * sigmoid(x * wf + bf) + sigmoid(h * wi + bi) * jnp.tanh(h * wg + bg)
            x = sigmoid(x * wo + bo) * jnp.tanh(cell)
            new_hidden.append(x)
            new_cells.append(cell)
        return (jnp.stack(new_hidden), jnp.stack(new_cells)), x

    _, outputs = jax.lax.scan(step, (state[0::2], state[1::2]), sequence[:-1])
    predicted = outputs * extra[1] + extra[2]
    log_total = jnp.log(jnp.exp(predicted).sum(axis=1, keepdims=True) + 2)
    return (sequence[1:] * (log_total - predicted)).mean()


def _sigmoid(z: Array) -> Array:
    return 0.5 * (np.tanh(0.5 * z) + 1)


def _lstm_by_hand(main: Array, extra: Array, state: Array, sequence: Array) -> tuple[Array, PullBack]:
    layers, width, steps = main.shape[0] // 2, extra.shape[1], sequence.shape[0] - 1
    weights = main.reshape(layers, 2, _GATES, width)
    x = sequence[:-1] * extra[0]
    kept = []
    for i in range(layers):  # a layer only needs the whole output of the one below it
        (wf, wi, wo, wg), (bf, bi, bo, bg) = weights[i]
        f, o = _sigmoid(x * wf + bf), _sigmoid(x * wo + bo)
        h, c = state[2 * i], state[2 * i + 1]
        hs, cs = np.empty_like(x), np.empty_like(x)
        ins, news = np.empty_like(x), np.empty_like(x)
        before_h, before_c = np.empty_like(x), np.empty_like(x)
        for t in range(steps):
            before_h[t], before_c[t] = h, c
            ins[t], news[t] = _sigmoid(h * wi + bi), np.tanh(h * wg + bg)
            cs[t] = c = c * f[t] + ins[t] * news[t]
            hs[t] = h = o[t] * np.tanh(c)
        kept.append((x, f, ins, o, news, np.tanh(cs), before_h, before_c))
        x = hs
    predicted = x * extra[1] + extra[2]
    e = np.exp(predicted)
    total = e.sum(axis=1, keepdims=True) + 2
    expected = sequence[1:]
    value = (expected * (np.log(total) - predicted)).sum() / expected.size

    def pull_back(ct: Array) -> tuple[Array, ...]:
        ct_predicted = (ct / expected.size) * (expected.sum(axis=1, keepdims=True) * e / total - expected)
        ct_extra, ct_weights = np.zeros_like(extra), np.zeros_like(weights)
        ct_extra[1], ct_extra[2] = (ct_predicted * x).sum(axis=0), ct_predicted.sum(axis=0)
        ct_h = ct_predicted * extra[1]
        for i in reversed(range(layers)):
            (wf, wi, wo, wg), _ = weights[i]
            below, f, ins, o, news, tanh_c, before_h, before_c = kept[i]
            ct_f, ct_i, ct_o, ct_g = (np.empty_like(below) for _ in range(_GATES))
            carried_h, carried_c = np.zeros_like(below[0]), np.zeros_like(below[0])
            for t in reversed(range(steps)):
                total_h = ct_h[t] + carried_h
                ct_o[t] = total_h * tanh_c[t] * o[t] * (1 - o[t])
                ct_c = carried_c + total_h * o[t] * (1 - tanh_c[t] * tanh_c[t])
                ct_f[t] = ct_c * before_c[t] * f[t] * (1 - f[t])
                ct_i[t] = ct_c * news[t] * ins[t] * (1 - ins[t])
                ct_g[t] = ct_c * ins[t] * (1 - news[t] * news[t])
                carried_c = ct_c * f[t]
                carried_h = ct_i[t] * wi + ct_g[t] * wg
            for g, (part, source) in enumerate(((ct_f, below), (ct_i, before_h), (ct_o, below), (ct_g, before_h))):
                ct_weights[i, 0, g], ct_weights[i, 1, g] = (part * source).sum(axis=0), part.sum(axis=0)
            ct_h = ct_f * wf + ct_o * wo
        ct_extra[0] = (ct_h * sequence[:-1]).sum(axis=0)
        return ct_weights.reshape(main.shape), ct_extra

    return value, pull_back
