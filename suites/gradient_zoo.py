"""Autograd functions with a planted defect, and right ones, some of which look wrong to a careless check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["right", "wrong"]


def wrong() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...], str]]:
    """Name -> (function, example, the claim that is wrong)."""
    import torch

    def custom(forward: Any, backward: Any) -> Any:
        class Custom(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *xs: Any) -> Any:
                ctx.save_for_backward(*xs)
                return forward(*xs)

            @staticmethod
            def backward(ctx: Any, *cts: Any) -> Any:
                return backward(*cts, *ctx.saved_tensors)

        return Custom.apply

    def tanh(ct: Any, x: Any) -> Any:
        return ct * (1 - torch.tanh(x) ** 2)

    class Stale(torch.autograd.Function):
        kept: Any = None

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            Stale.kept = x.detach().clone()
            return x.sin()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ct * Stale.kept.cos()

    class Used(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.factor = x.cos()
            return x.sin()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ctx.factor.mul_(ct)

    class HalfCube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * 3 * x * x.detach()  # right, but its own derivative lacks half

    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x.sin()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ct * ctx.saved_tensors[0].cos()

        @staticmethod
        def jvp(ctx: Any, t: Any) -> Any:
            return t * ctx.saved_tensors[0].cos() * 1.01

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x.sin(), x.cos()

        @staticmethod
        def backward(ctx: Any, ct: Any, ignored: Any) -> Any:
            return ct * ctx.saved_tensors[0].cos()

    class Needs(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            x, y = ctx.saved_tensors
            return ct * y if ctx.needs_input_grad[0] else None, ct * x if ctx.needs_input_grad[0] else None

    class Writes(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (y,) = ctx.saved_tensors
            return ct.mul_(y)

    class Rows(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, table: Any, index: Any) -> Any:
            ctx.save_for_backward(index)
            ctx.shape = table.shape
            return table[index]

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (index,) = ctx.saved_tensors
            grad = ct.new_zeros(ctx.shape)
            grad[index] += ct  # adds once to a row that is named twice
            return grad, None

    def relative(x: Any) -> Any:
        safe = torch.where(x == 0, 1.0, x)
        return torch.where(x == 0, 1.0, safe.expm1() / safe)

    def of_relative(ct: Any, x: Any) -> Any:
        safe = torch.where(x == 0, 1.0, x)
        return ct * torch.where(x == 0, 1.0, (safe * safe.exp() - safe.expm1()) / safe**2)  # 1/2 at 0

    def masked_rows(q: Any) -> Any:
        return (q @ q.mT).masked_fill(torch.ones(3, 3).triu(1) > 0, -1e9).softmax(-1)

    def of_masked_rows(ct: Any, q: Any) -> Any:
        p = masked_rows(q)
        g = p * (ct - (ct * p).sum(-1, keepdim=True)) * (1 + 1e-8)
        return (g + g.mT) @ q

    torch.manual_seed(0)
    x = torch.randn(3, 4, dtype=torch.float64)
    y = torch.randn(3, 4, dtype=torch.float64)
    row = torch.randn(4, dtype=torch.float64)
    mul, square = torch.mul, torch.square
    return {
        "factor 1 + 1e-3": (custom(torch.tanh, lambda ct, x: tanh(ct, x) * (1 + 1e-3)), (x,), "vjp"),
        "factor 1 + 1e-6": (custom(torch.tanh, lambda ct, x: tanh(ct, x) * (1 + 1e-6)), (x,), "vjp"),
        "factor 1 + 1e-3 in float32": (custom(torch.tanh, lambda ct, x: tanh(ct, x) * 1.001), (x.float(),), "vjp"),
        "wrong sign in float32 alone": (
            custom(torch.tanh, lambda ct, x: tanh(ct, x) * (-1 if x.dtype == torch.float32 else 1)),
            (x.float(),),
            "vjp",
        ),
        "factor 1 + 1e-4 in float32 alone": (
            custom(torch.tanh, lambda ct, x: tanh(ct, x) * (1.0001 if x.dtype == torch.float32 else 1)),
            (x.float(),),
            "vjp",
        ),
        "wrong sign": (custom(torch.cos, lambda ct, x: ct * x.sin()), (x,), "vjp"),
        "two arguments in one memory": (
            custom(mul, lambda ct, x, y: (ct * y * (x.data_ptr() != y.data_ptr()), ct * x)),
            (x, y),
            "vjp",
        ),
        "arguments swapped": (custom(mul, lambda ct, x, y: (ct * x, ct * y)), (x, y), "vjp"),
        "missing sum": (custom(mul, lambda ct, x, w: (ct * w, (ct * x)[0])), (x, row), "vjp"),
        "sum left to the engine": (custom(mul, lambda ct, x, w: (ct * w, ct * x)), (x, row), "shape and dtype"),
        "mean for sum": (custom(lambda x: x.sum(0), lambda ct, x: ct.expand_as(x) / x.shape[0]), (x,), "vjp"),
        "stale saved tensor": (Stale.apply, (x,), "repeatability"),
        "saved tensor overwritten": (Used.apply, (x,), "repeatability"),
        "detach leak": (
            lambda x: x * custom(torch.exp, lambda ct, x: ct * x.exp())(x).sum().detach() + square_of(x),
            (x,),
            "vjp",
        ),
        "wrong at ties only": (custom(torch.maximum, lambda ct, x, y: (ct * (x >= y), ct * (y >= x))), (x, y), "vjp"),
        "wrong at ties of a reduction": (
            custom(lambda x: x.amax(-1), lambda ct, x: ct[..., None] * (x == x.amax(-1, keepdim=True))),
            (x,),
            "vjp",
        ),
        "wrong at zero only": (custom(torch.relu, lambda ct, x: ct * (x > 0) - ct * (x == 0)), (x,), "vjp"),
        "wrong dtype only": (custom(square, lambda ct, x: (ct * 2 * x).float()), (x,), "shape and dtype"),
        "wrong for non-contiguous inputs": (
            custom(square, lambda ct, x: 2 * ct * (x if x.is_contiguous() else x.flip(0))),
            (x,),
            "vjp",
        ),
        "wrong for non-contiguous cotangents": (
            custom(square, lambda ct, x: 2 * x * (ct if ct.is_contiguous() else 0 * ct)),
            (x,),
            "vjp",
        ),
        "wrong for size 1": (custom(square, lambda ct, x: 2 * ct * x / (1 + (x.shape[-1] == 1))), (x,), "vjp"),
        "wrong at large magnitudes": (custom(square, lambda ct, x: ct * (2 * x).clamp(-50, 50)), (x,), "vjp"),
        "second order only": (HalfCube.apply, (x,), "second order"),
        "forward mode only": (Forward.apply, (x,), "forward mode"),
        "ignores an output": (Pair.apply, (x,), "vjp"),
        "needs_input_grad of another": (Needs.apply, (x, y), "needs_input_grad"),
        "writes into the cotangent": (Writes.apply, (x,), "arguments unwritten"),
        "clips the cotangent": (custom(torch.sin, lambda ct, x: ct.clamp(-100, 100) * x.cos()), (x,), "linearity"),
        "straight through, unannounced": (custom(torch.round, lambda ct, x: ct), (x,), "vjp"),
        "wrong where an index is named twice": (Rows.apply, (x, torch.tensor([0, 2])), "vjp"),
        "another limit at zero": (custom(relative, of_relative), (row,), "vjp"),
        "another limit at zero, in the example": (custom(relative, of_relative), (torch.linspace(-1, 1, 5),), "vjp"),
        "small numbers behind huge ones": (
            custom(
                lambda x: (-x.expm1()).log(),
                lambda ct, x: -ct * torch.where(x > -5, 1 / torch.expm1(-x), x.exp()),
            ),
            (-torch.rand(4, 5, dtype=torch.float64) * 3 - 0.01,),
            "vjp",
        ),
        "below the guard of a denominator": (
            custom(
                lambda x: x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12),
                lambda ct, x: (
                    (ct - (y := x / (n := x.norm(dim=-1, keepdim=True).clamp(min=1e-12))) * (ct * y).sum(-1, True)) / n
                ),
            ),
            (x,),
            "vjp",
        ),
        "a bound that the example never meets": (
            custom(lambda x: x.clamp(-3, 1), lambda ct, x: ct * (x <= 1)),
            (x.abs() / 10,),
            "vjp",
        ),
        "beside a fill of -1e9": (custom(masked_rows, of_masked_rows), (x,), "vjp"),
        "nan at zero": (custom(square, lambda ct, x: ct * 2 * x * x / x), (x,), "vjp"),
        "none for a gradient": (
            custom(mul, lambda ct, x, y: (ct * y, None)),
            (x.clone().requires_grad_(), y.clone().requires_grad_()),
            "vjp",
        ),
        "bias forgets the batch": (
            custom(lambda x, w, b: x @ w + b, lambda ct, x, w, b: (ct @ w.t(), x.t() @ ct, ct[0])),
            (x, torch.randn(4, 2, dtype=torch.float64), torch.randn(2, dtype=torch.float64)),
            "vjp",
        ),
    }


def square_of(x: Any) -> Any:
    """x squared, with a backward that treats one factor as detached."""
    import torch

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ct * ctx.saved_tensors[0]

    return Square.apply(x)


def right() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]:
    """Name -> (function, example, options of `check_gradients`)."""
    import numpy as np
    import torch
    from torch.utils.checkpoint import checkpoint

    def custom(forward: Any, backward: Any) -> Any:
        class Custom(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *xs: Any) -> Any:
                ctx.save_for_backward(*[x for x in xs if isinstance(x, torch.Tensor)])
                return forward(*xs)

            @staticmethod
            def backward(ctx: Any, *cts: Any) -> Any:
                return backward(*cts, *ctx.saved_tensors)

        return Custom.apply

    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            e = (x - x.amax(-1, keepdim=True)).exp()
            y = e / e.sum(-1, keepdim=True)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (y,) = ctx.saved_tensors
            return y * (ct - (ct * y).sum(-1, keepdim=True))

    class LayerNorm(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
            mean = x.mean(-1, keepdim=True)
            scale = (x.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt()
            hat = (x - mean) * scale
            ctx.save_for_backward(hat, scale, w)
            return hat * w + b

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, ct: Any) -> Any:
            hat, scale, w = ctx.saved_tensors
            inner = ct * w
            dx = scale * (inner - inner.mean(-1, keepdim=True) - hat * (inner * hat).mean(-1, keepdim=True))
            return dx, (ct * hat).flatten(0, -2).sum(0), ct.flatten(0, -2).sum(0)

    class Inplace(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = torch.empty_like(x)
            y[...] = x
            y[..., 0] = y[..., 0] * 3
            y.mul_(2)
            return y

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            g = ct * 2
            g[..., 0] *= 3
            return g

    class Kernel(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.from_numpy(np.sinh(x.detach().numpy()))

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ct * ctx.saved_tensors[0].cosh()

    class Narrow(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            if x.dtype != torch.float32:
                raise TypeError("float32 only")
            ctx.save_for_backward(x)
            return torch.from_numpy(np.sin(x.detach().numpy())) * x

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * (x.cos() * x + x.sin())

    class Squares(torch.autograd.Function):
        """A mean of squares, whose backward divides by the elements of its first argument."""

        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return ((x - y) ** 2).mean()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            x, y = ctx.saved_tensors
            grad = ct * 2 * (x - y) / x.numel()
            return grad, -grad

    class Scaled(torch.nn.Module):
        """A product with a matrix over its largest singular value, estimated without gradient."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(4, 4))
            self.register_buffer("u", torch.ones(4))

        def forward(self, x: Any) -> Any:
            with torch.no_grad():
                v = self.weight.t() @ self.u
                v = v / v.norm()
                u = self.weight @ v
                u = u / u.norm()
            return x @ (self.weight / (u @ self.weight @ v)).t()

    class Recomputed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return checkpoint(lambda y: self.inner(y).tanh(), x, use_reentrant=False)

    def sinc(x: Any) -> Any:
        safe = torch.where(x == 0, 1.0, x)
        return torch.where(x == 0, 1.0, safe.sin() / safe)

    def of_sinc(ct: Any, x: Any) -> Any:
        safe = torch.where(x == 0, 1.0, x)
        return ct * torch.where(x == 0, 0.0, (safe * safe.cos() - safe.sin()) / safe**2)

    def relative(x: Any) -> Any:
        safe = torch.where(x == 0, 1.0, x)
        return torch.where(x == 0, 1.0, safe.expm1() / safe)

    def of_relative(ct: Any, x: Any) -> Any:
        safe = torch.where(x == 0, 1.0, x)
        return ct * torch.where(x == 0, 0.5, (safe * safe.exp() - safe.expm1()) / safe**2)

    def safe_norm(ct: Any, x: Any) -> Any:
        n = x.norm()
        return ct * torch.where(n > 0, x / n, torch.zeros_like(x))

    torch.manual_seed(0)
    x = torch.randn(3, 4, dtype=torch.float64)
    y = torch.randn(3, 4, dtype=torch.float64)
    row = torch.randn(4, dtype=torch.float64)
    mul = torch.mul
    return {
        "softmax": (Softmax.apply, (x,), {}),
        "softmax in float32": (Softmax.apply, (x.float(),), {}),
        "layer norm": (LayerNorm.apply, (x, row, row + 1), {}),
        "in place": (Inplace.apply, (x,), {}),
        "broadcast": (custom(mul, lambda ct, x, w: (ct * w, (ct * x).sum_to_size(w.shape))), (x, row), {}),
        "relu that is 1 at 0": (custom(torch.relu, lambda ct, x: ct * (x >= 0)), (x,), {}),
        "maximum that prefers the first": (
            custom(torch.maximum, lambda ct, x, y: (ct * (x >= y), ct * (y > x))),
            (x, y),
            {},
        ),
        "sigmoid by another formula": (
            custom(torch.sigmoid, lambda ct, x: ct * (-x).exp() / (1 + (-x).exp()) ** 2),
            (x,),
            {},
        ),
        "tanh by its square": (custom(torch.tanh, lambda ct, x: ct * (1 - x.tanh() ** 2)), (x,), {}),
        "tanh by its square in float32, saturated": (
            custom(torch.tanh, lambda ct, x: ct * (1 - x.tanh() ** 2)),
            (x.sign().float() * 9.5,),
            {},
        ),
        "spread by squares in float32, far from 0": (
            custom(
                lambda x: x.std(-1, unbiased=False, keepdim=True),
                lambda ct, x: (
                    ct
                    * (x - x.mean(-1, keepdim=True))
                    / ((x * x).mean(-1, keepdim=True) - x.mean(-1, keepdim=True) ** 2).sqrt()
                    / x.shape[-1]
                ),
            ),
            (x.float() + 30,),
            {},
        ),
        "norm that is 0 at 0": (custom(lambda x: x.norm(), safe_norm), (row,), {}),
        "a branch for zero": (custom(sinc, of_sinc), (torch.linspace(-1, 1, 5),), {}),
        "a branch for zero, with another slope": (custom(relative, of_relative), (torch.linspace(-1, 1, 5),), {}),
        "a loss of two arguments of one shape": (Squares.apply, (x, y), {}),
        "a module that is computed again in the backward": (Recomputed(), (x.float(),), {}),
        "an embedding with padding": (torch.nn.Embedding(4, 2, padding_idx=0), (torch.tensor([1, 0, 3]),), {}),
        "no_grad in a module, which forward mode ignores": (Scaled(), (x.float(),), {}),
        "squares of a short-time Fourier transform": (
            lambda x: torch.stft(x, 8, 4, window=torch.hann_window(8), return_complex=True, center=False).abs() ** 2,
            (torch.randn(24),),
            {},
        ),
        "a likelihood by a Cholesky factor": (
            lambda a, b: (b * torch.cholesky_solve(b, torch.linalg.cholesky((a + a.mT) / 2))).sum(),
            (x @ x.mT + torch.eye(3), x[:, :1]),
            {},
        ),
        "straight through": (custom(torch.round, lambda ct, x: ct), (x,), {"spec": lambda x: x}),
        "gradient reversal": (
            custom(lambda x: x.view_as(x), lambda ct, x: -0.5 * ct),
            (x,),
            {"spec": lambda x: -0.5 * x},
        ),
        "a NumPy kernel": (Kernel.apply, (row,), {}),
        "a NumPy kernel in float32 alone, in part": (Narrow.apply, (row.float(),), {}),
        "a NumPy kernel with its spec": (Kernel.apply, (x,), {"spec": torch.sinh}),
        "several outputs": (lambda x: (x.sin(), x.detach() * 2, x.sum()), (x,), {}),
        "a module": (
            torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)),
            (x.float(),),
            {},
        ),
        "a branch on values": (lambda x: x.sin() if x.sum() > 0 else x.cos(), (x,), {}),
        "sorting and indexing": (lambda x: x.sort(-1).values[:, 1:] * x[[0, 2, 1], :3], (x,), {}),
        "dropout": (lambda x: torch.nn.functional.dropout(x, 0.5) * x, (x,), {}),
        "no gradient for the labels": (
            custom(lambda x, y: (1 - x * y).clamp(min=0).sum(), lambda ct, x, y: (-ct * y * (x * y < 1), None)),
            (x, y.sign()),
            {},
        ),
        "batch norm": (torch.nn.BatchNorm1d(4), (x.float(),), {}),
        "causal attention": (
            lambda q: torch.softmax((q @ q.mT).masked_fill(torch.ones(3, 3).triu(1) > 0, -torch.inf), -1) @ q,
            (x,),
            {},
        ),
        "float16 on the way": (lambda x: (x.half() * 2).float().sum(), (x.float(),), {}),
        "ill-conditioned": (custom(lambda x: 1 - x.cos(), lambda ct, x: ct * x.sin()), (x * 1e-4,), {}),
    }
