"""Custom functions: a forward and a backward in the user's own words, recorded as one node.

>>> import reference_impl as torch
>>> class Cube(torch.autograd.Function):
...     @staticmethod
...     def forward(ctx, x):
...         ctx.save_for_backward(x)
...         return x * x * x
...
...     @staticmethod
...     def backward(ctx, ct):
...         (x,) = ctx.saved_tensors
...         return ct * 3 * x * x
>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> Cube.apply(x).sum().backward()
>>> x.grad
tensor([ 3., 12.])

The node of an application holds the context that both functions are handed. Its outputs, one or several, are `tensor.Output`
nodes.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from reference_impl.engine import FREED, overwritten
from reference_impl.inplace import rewrite_base
from reference_impl.modes import is_grad_enabled, mode, no_grad
from reference_impl.primitives import PRIMITIVES, Primitive, Rule, apply, unbroadcast, watched
from reference_impl.saving import pack
from reference_impl.tensor import Cotangents, JointNode, Like, Output, Tensor, View, target_of

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


def _hand_on(ct: Any, index: int, like: Like) -> Cotangents:
    return Cotangents(like, {index: ct})


def _plain(name: str, rules: tuple[Rule, ...]) -> Primitive:
    """Return a primitive for a node that is no application of an op; it has no place in the table."""
    return dataclasses.replace(PRIMITIVES["clone"], name=name, node_name=name, rules=rules, recorders={})


_OUTPUT = _plain("output", (Rule(_hand_on, ("index", "like"), ()),))
_FUNCTION = _plain("function", ())


class _Kept:
    """A saved tensor: an input as it is, an output without its node, which would keep itself alive; or what a hook made."""

    __slots__ = ("index", "packed", "shared", "storage", "tensor", "version")

    def __init__(self, x: Tensor, index: int | None) -> None:
        self.packed = pack(x.array, requires_grad=x.requires_grad)
        # Where the values belong: the number of the output, or the target of the input.
        self.index: Any = index if index is not None else target_of(x) if x.requires_grad else None
        self.tensor = None if self.packed is not None or index is not None else x
        self.shared = None if self.packed is not None else x.array
        self.storage = x.storage
        self.version = x.storage.version


class FunctionCtx:
    """The `ctx` of one application of a custom function. Attributes that a user sets stay, whatever their names.

    Tensors belong into `save_for_backward`, which notices when they are overwritten. What PyTorch's context has of its node
    (`name`, `next_functions`, hooks) is asked of the node, which holds the context and is not held by it.

    Attributes:
        needs_input_grad: for each argument of forward, whether it is a tensor that requires grad.
    """

    def __init__(self, node: FunctionNode, args: Sequence[Any]) -> None:
        self.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        self._made_by = weakref.ref(node)
        self._to_save: tuple[Any, ...] = ()
        self._kept: tuple[_Kept | None, ...] | None = ()
        self._dirty: tuple[Any, ...] = ()
        self._constants: tuple[Any, ...] = ()
        self._materialize = True
        self._materialize_non_diff_grads = True  # PyTorch's name, which users set

    def __getattr__(self, name: str) -> Any:
        if name in _ASKED_OF_THE_NODE and (node := self._made_by()) is not None:
            return getattr(node, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{type(self).__name__} object at {id(self):#x}>"

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs, outputs or other tensors for backward, where `saved_tensors` gives them back."""
        self._to_save = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say that forward overwrote these inputs in place. It must return them."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say that these outputs have no gradient; backward is handed zeros for them."""
        self._constants = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Choose what backward is handed for an output that nobody used: zeros (True, the default) or None."""
        self._materialize = value

    @property
    def saved_variables(self) -> tuple[Tensor | None, ...]:
        """The old name of `saved_tensors`."""
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2)
        return self.saved_tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` was given.

        Raises:
            RuntimeError: the graph was freed, or a tensor was overwritten since.
        """
        if self._kept is None:
            raise RuntimeError(FREED)
        return tuple(None if k is None else self._restored(k) for k in self._kept)

    def _restored(self, kept: _Kept) -> Tensor:
        node = self._made_by()
        if kept.packed is not None:
            array = kept.packed.array()
        elif kept.storage.version != kept.version:
            made_by = node if kept.tensor is None else kept.tensor.grad_fn
            raise overwritten(kept.shared, made_by, kept.storage, kept.version)
        else:
            array = kept.shared
        if kept.tensor is not None:
            return kept.tensor
        if isinstance(kept.index, Tensor):  # a leaf has no other tensor in its place
            return kept.index if mode.enabled else Tensor(array)
        if not isinstance(kept.index, int):
            return Tensor(array, kept.index)
        return Tensor(array, None if node is None else node.place(kept.index))


_ASKED_OF_THE_NODE = frozenset(("metadata", "name", "next_functions", "register_hook", "register_prehook"))


class FunctionNode(JointNode):
    """The node of one application of a custom function."""

    function: ClassVar[type[Function]]

    def __init__(self, args: Sequence[Any], record: bool) -> None:
        tensors = [a for a in args if isinstance(a, Tensor)]
        edges = tuple(target_of(t) if record and t.requires_grad else None for t in tensors)
        super().__init__(_FUNCTION, edges, None, (), None, False)
        self.ctx = self.function._ctx(self, args)
        self._arguments = tuple((a.array.shape, a.array.dtype) if isinstance(a, Tensor) else None for a in args)
        self._places: dict[int, weakref.ref[Output]] = {}
        self._like: Like = ()  # of each output; None for what is no tensor
        self._not_differentiable: tuple[int, ...] = ()

    def __getattr__(self, name: str) -> Any:
        """What the user, or forward, put into the context: in PyTorch it is the node itself."""
        if name == "ctx":
            raise AttributeError(name)
        return getattr(self.ctx, name)

    def name(self) -> str:
        """Return the name of the function with "Backward" behind it."""
        return type(self).__name__

    def __call__(self, *cotangents: Any) -> Any:
        """Refuse, as PyTorch does: only the nodes of its own ops can be called.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"'{self.name()}' object is not callable")

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.name()} object at {id(self):#x}>"

    def place(self, index: int) -> Output:
        """Return the place of an output: the tensor's own, if it is still there, so that its hooks see what comes this way.

        Raises:
            IndexError: there is no such output, or it has no gradient.
        """
        if index not in self._places:
            raise IndexError(f"output_nr: {self.name()} has the outputs {sorted(self._places)}, got {index}")
        return self._places[index]() or Output(_OUTPUT, self, index, self._like)

    def free(self) -> None:
        """Drop the saved tensors; attributes stay."""
        self.ctx._kept = None

    def pull_back(self, ct: Any, create_graph: bool) -> Sequence[Any]:
        """Run the user's backward and return one cotangent a tensor argument, of its shape and dtype.

        Raises:
            RuntimeError: backward returned another number of gradients than forward has arguments, something that is
                no tensor, or a gradient whose shape does not sum to the argument's.
        """
        cts = [self._incoming(None if ct is None else ct.arrived.get(k), k) for k in range(len(self._like))]
        given = self.function._backward()(self.ctx, *cts)
        given = given if isinstance(given, tuple) else (given,)
        expected = len(self._arguments)
        if len(given) < expected or any(g is not None for g in given[expected:]):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {expected}, got {len(given)})"
            )
        parts: list[Any] = []
        for i, (g, argument) in enumerate(zip(given[:expected], self._arguments, strict=True)):
            if argument is not None:
                parts.append(None if g is None else self._checked(len(parts), g, *argument, create_graph=create_graph))
            elif g is not None:
                raise RuntimeError(
                    f"function {self.name()} returned a gradient different than None at position {i + 1}, but the "
                    "corresponding forward input was not a Variable"
                )
        return parts

    def _incoming(self, ct: Any, index: int) -> Tensor | None:
        like = self._like[index]
        if like is None or (ct is None and not self.ctx._materialize):
            return None
        if index in self._not_differentiable and not self.ctx._materialize_non_diff_grads:
            return None
        if ct is None:
            return Tensor(np.zeros(*like))
        return ct if isinstance(ct, Tensor) else Tensor(ct)

    def _checked(self, i: int, g: Any, shape: tuple[int, ...], dtype: Any, *, create_graph: bool) -> Any:
        if not isinstance(g, Tensor):
            raise RuntimeError(f"expected Variable or None (got {type(g).__name__})")
        if not _sums_to(tuple(g.shape), shape):
            raise RuntimeError(
                f"Function {self.name()} returned an invalid gradient at index {i} - got {list(g.shape)} but expected "
                f"shape compatible with {list(shape)}"
            )
        if g.array.dtype != dtype:
            g = apply(PRIMITIVES["to"], g, dtype=dtype)
        return unbroadcast(g if create_graph else g.array, shape)

    def _finish(self, args: Sequence[Any], outputs: Sequence[Any], *, record: bool) -> list[Any]:
        """Attach the outputs to this node, and save what forward asked for."""
        ctx = self.ctx
        for kind, marked in (("mark_dirty", ctx._dirty), ("mark_non_differentiable", ctx._constants)):
            for i, t in enumerate(marked):
                if not isinstance(t, Tensor):
                    raise RuntimeError(
                        f"{kind} can only accept variables, but argument {i} is of type {type(t).__name__}"
                    )
        if record and len(outputs) > 1 and any(t._is_view() for t in ctx._dirty):
            raise RuntimeError(
                "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return "
                "more than one Tensor. This is not supported by the current autograd engine. You should either make sure the "
                "input is not a view (using .clone() for example) or make your Function only return one Tensor."
            )
        for t in ctx._dirty:
            t.storage.version += 1
            if not _among(t, args):
                warnings.warn(
                    "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated "
                    "should be passed to ctx.mark_dirty().",
                    UserWarning,
                    stacklevel=4,
                )
            if not _among(t, outputs):
                raise RuntimeError(
                    "Some elements marked as dirty during the forward method were not returned as output. The inputs that "
                    "are modified inplace must all be outputs of the Function."
                )
        self._like = tuple((y.array.shape, y.array.dtype) if isinstance(y, Tensor) else None for y in outputs)  # type: ignore[misc]
        wrapped = [
            self._wrapped(k, y, args, record=record) if isinstance(y, Tensor) else y for k, y in enumerate(outputs)
        ]
        self._not_differentiable = tuple(k for k, y in enumerate(outputs) if _among(y, ctx._constants))
        # The hooks of the first output run first: in falling order of numbers.
        places = [place for k in self._places if (place := self._places[k]()) is not None]
        for place, number in zip(places, sorted([place.number for place in places], reverse=True), strict=True):
            place.number = number
        if record:
            ctx._kept = tuple(self._keep(i, t, outputs) for i, t in enumerate(ctx._to_save))
        ctx._to_save = ctx._dirty = ctx._constants = ()
        return wrapped

    def _wrapped(self, index: int, y: Tensor, args: Sequence[Any], *, record: bool) -> Tensor:
        is_input, modified = _among(y, args), _among(y, self.ctx._dirty)
        if not record or _among(y, self.ctx._constants) or y.array.dtype.kind != "f":
            if is_input and y.requires_grad:
                return y.detach()  # which keeps the flag of the argument
            if is_input and not modified:
                return _alias(y)
            if not is_input and y._requires_grad and y._view is None:
                y.detach_()
            return y
        if modified and y.is_leaf and y.requires_grad:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
        place = Output(_OUTPUT, self, index, self._like)
        self._places[index] = weakref.ref(place)
        if modified and y._view is not None and not y._view.kind:
            # What was written to a view was written to its base.
            rewrite_base(y._view, Tensor(y.array, place))
            return y
        if is_input and not modified:
            y = _alias(y)
        elif y._view is not None:
            y._view = View(y._view.base, None, "custom", y.storage.version, inherited=False)
        y._node = place
        y._requires_grad = True
        return y

    def _keep(self, i: int, t: Any, outputs: Sequence[Any]) -> _Kept | None:
        if t is None:
            return None
        if not isinstance(t, Tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {i} is of type {type(t).__name__}"
            )
        mine = next((k for k, y in enumerate(outputs) if y is t and isinstance(t._node, Output)), None)
        return _Kept(t, mine if mine is not None and t.grad_fn is self else None)


def _among(t: Tensor, others: Sequence[Any]) -> bool:
    return any(t is other for other in others)


def _sums_to(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Tell whether a tensor of shape `shape` could have been broadcast to `given`."""
    extra = len(given) - len(shape)
    return extra >= 0 and all(n in (1, m) for n, m in zip(shape, given[extra:], strict=True))


def _alias(x: Tensor) -> Tensor:
    """Return a view of all of x that is not recorded."""
    out = x.detach()
    base = x if x._view is None else x._view.base
    out._view = View(base, None, "custom", x.storage.version, inherited=False)
    return out


class Function:
    """Derive from it, with static methods `forward` and `backward`, and call `apply`.

    `forward(ctx, *args)` computes on tensors without recording; `backward(ctx, *cotangents)` takes one cotangent an output
    and returns one gradient an argument (None for what has none). The second form splits the context off: `forward(*args)`
    and `setup_context(ctx, inputs, output)`. `vjp` is another name of `backward`.
    """

    generate_vmap_rule: ClassVar[bool] = False
    """Taken for PyTorch's sake: there is no `vmap` here that would ask."""

    _ctx: ClassVar[type[FunctionCtx]]
    _node: ClassVar[type[FunctionNode]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = f"{cls.__name__}Backward"
        cls._ctx = type(name, (FunctionCtx,), {})
        cls._node = type(name, (FunctionNode,), {"function": cls})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke "
            "them on the class itself. Instantiating an autograd function will raise an error in a future version.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: methods are static, and `apply` is called on the class.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function "
            "with static forward method."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; to be defined by each function.

        Raises:
            NotImplementedError: it is not defined.
        """
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Any) -> None:
        """Save what backward needs, where forward is not handed the context.

        Raises:
            NotImplementedError: it is not defined.
        """
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: FunctionCtx, *cts: Any) -> Any:
        """Return one gradient an argument of forward.

        Raises:
            NotImplementedError: neither it nor `vjp` is defined.
        """
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    vjp = backward

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """Refuse: a function may define it for PyTorch, but nothing here calls it.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("this tape has no vmap: loop over the first dimension and stack the results")

    @classmethod
    def _backward(cls) -> Callable[..., Any]:
        if cls.vjp is Function.vjp:
            return cls.backward
        if cls.backward is not Function.backward:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement one "
                "of them."
            )
        return cls.vjp

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward and record one node."""
        split = cls.setup_context is not Function.setup_context
        if split or kwargs:
            bound = inspect.signature(cls.forward).bind(*(() if split else (None,)), *args, **kwargs)
            if split:
                bound.apply_defaults()
            args = bound.args if split else bound.args[1:]
        record = mode.enabled and any(isinstance(a, Tensor) and a.requires_grad for a in args)
        node = cls._node(args, record)
        if record:
            watched(node)
        with no_grad():
            result = cls.forward(*args) if split else cls.forward(node.ctx, *args)
            if split:
                cls.setup_context(node.ctx, args, result)
        outputs = node._finish(args, result if isinstance(result, tuple) else (result,), record=record)
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]


class _Once(JointNode):
    """The node of gradients that have no derivative of their own."""

    __slots__ = ()

    def name(self) -> str:
        return "Error"

    def pull_back(self, ct: Any, create_graph: bool) -> Sequence[Any]:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a backward that is not to be recorded: differentiating what it returns is refused."""

    @functools.wraps(backward)
    def wrapper(ctx: FunctionCtx, *cts: Any) -> Any:
        with no_grad():
            result = backward(ctx, *cts)
        if not is_grad_enabled() or not any(isinstance(c, Tensor) and c.requires_grad for c in cts):
            return result
        gradients = result if isinstance(result, tuple) else (result,)
        ends = tuple(None if g is None else Tensor(g.array) for g in gradients)  # leaves of nobody, as PyTorch shows
        node = _Once(_FUNCTION, ends, None, (), None, False)
        return tuple(None if g is None else Tensor(g.array, node) for g in gradients)

    return wrapper
