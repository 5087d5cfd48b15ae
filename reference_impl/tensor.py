"""What the tape is made of: storages, tensors and nodes. No arithmetic lives here.

A `Tensor` is an array plus its place in the graph. A `Node` is one application of a primitive: where its inputs came
from and what its rules will need. An edge points to the node that made an input, or to the input itself if it is a leaf.
Nodes never point to tensors that they made, so a graph dies with its outputs, by reference counting alone.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from reference_impl.devices import CPU
from reference_impl.dtypes import DTYPES, DType, default_float, from_numpy_dtype, scalar_type
from reference_impl.hooks import Hooks, RemovableHandle, hooks_of
from reference_impl.modes import mode

if TYPE_CHECKING:
    from reference_impl.primitives import Primitive

__all__ = [
    "Cotangents",
    "JointNode",
    "Like",
    "Node",
    "Output",
    "Storage",
    "Target",
    "Tensor",
    "View",
    "as_array",
    "detached",
    "hand_over_retain",
    "is_out_of_reach",
    "new_number",
    "not_a_view",
    "refresh",
    "rename",
    "rewritten",
    "target_of",
]


class Storage:
    """The memory behind a tensor and all its aliases, as far as autograd cares: how often it was written."""

    __slots__ = ("version",)
    version: int


new_storage: Callable[[], Storage] = Storage


def make_storages(by: Callable[[], Storage]) -> None:
    """Set what makes the memory of every new tensor: `Storage`, but while any thread is in inference mode."""
    global new_storage
    new_storage = by


# The nodes whose tensors were cut off with `detach_`: who saved such a tensor as an input must not run backward.
detached: set[weakref.ref[Node]] = set()

Path = tuple[tuple["Primitive", dict[str, Any]], ...]


class View:
    """How a tensor was cut out of its base: the path of view primitives that leads there.

    An in-place operation on the base, or on another view of it, leaves the view's own node stale. `refresh` notices by
    the version of the storage and replays the path.

    Attributes:
        base: the root of a chain of views; never a view itself, as it is laid out where the path begins.
        path: how to get from there to the view; None where the history is not to be followed.
        kind: "" for a view that may be rewritten; else why its history cannot: it was taken in "no_grad" or "inference"
            mode, was made by a "custom" function, or is an output of an op that returns several views, which is then named.
        version: of the storage when the view's node was made.
        inherited: the view requires grad only because its base does: it was taken while nothing was recorded.
    """

    __slots__ = ("_base", "inherited", "kind", "path", "version")

    def __init__(self, base: Tensor, path: Path | None, kind: str, version: int, inherited: bool) -> None:
        self._base = base
        self.path = path
        self.kind = kind
        self.version = version
        self.inherited = inherited

    @property
    def base(self) -> Tensor:
        """The root of the chain of views."""
        base = self._base
        while base._view is not None:  # it was laid out anew since, by `t_` or the like
            base = base._view._base
        return base


_ndarray = np.ndarray
node_numbers = itertools.count()


def new_number() -> int:
    """Return a number larger than that of every node made so far."""
    return next(node_numbers)


class Node:
    """One application of a primitive on the tape.

    Attributes:
        primitive: what was applied; its rules take the cotangent back.
        edges: one entry an argument: the target of its cotangent, None for a constant.
        saved: one tuple an edge: what the rule needs besides the cotangent; None once freed.
        versions: the (storage, version) pairs of saved values, to notice that one was overwritten.
        shapes: shapes of the arguments if they were broadcast, else None.
        frees: True if it saved values, so that backward frees them and a second one is refused.
        number: creation number; nodes run in falling order of it.
    """

    __slots__ = (
        "__weakref__",
        "_hooks",
        "edges",
        "frees",
        "number",
        "primitive",
        "saved",
        "shapes",
        "versions",
    )

    def __init__(
        self,
        primitive: Primitive,
        edges: tuple[Target | None, ...],
        saved: tuple[tuple[Any, ...], ...] | None,
        versions: tuple[tuple[Storage, int], ...],
        shapes: tuple[tuple[int, ...], ...] | None,
        frees: bool,
    ) -> None:
        self.primitive = primitive
        self.edges = edges
        self.saved = saved
        self.versions = versions
        self.shapes = shapes
        self.frees = frees
        self.number = next(node_numbers)
        self._hooks: Hooks | None = None

    @property
    def values(self) -> tuple[tuple[Any, ...], ...] | None:
        """What was saved, wherever the kind of node keeps it; None once freed."""
        return self.saved

    @values.setter
    def values(self, saved: tuple[tuple[Any, ...], ...]) -> None:
        self.saved = saved

    def free(self) -> None:
        """Drop what was saved, if that was any values: another backward is then refused."""
        if self.frees:
            self.saved = None

    def place(self, index: int) -> Target:
        """Return where the cotangent of one of its outputs goes: of the only one, to the node itself.

        Raises:
            IndexError: there is no such output.
        """
        if index:
            raise IndexError(f"output_nr: {self.name()} has one output, got {index}")
        return self

    def name(self) -> str:
        """Return PyTorch's name of the node's class, such as "MulBackward0"."""
        name = self.primitive.node_name
        return name if isinstance(name, str) else name(self)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook` with the tuple of cotangents that the node is about to take; a tuple that it returns replaces them."""
        return RemovableHandle(hooks_of(self).before, hook)

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after the node ran; a tuple that it returns replaces `grad_inputs`."""
        return RemovableHandle(hooks_of(self).after, hook)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict for users, of each node its own."""
        return _metadata.setdefault(self, {})

    def _sequence_nr(self) -> int:
        """Return the number in which PyTorch counts nodes too: later ones have larger ones."""
        return self.number

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """One (node, output index) pair an argument; (None, 0) for a constant."""
        return tuple(map(_end_of_edge, self.edges))

    def __call__(self, *cotangents: Tensor) -> Any:
        """Return the cotangents of the arguments for one of the output: the VJP of this one application.

        They are recorded if the mode is to record. One argument's stands alone, several come as a tuple; None is for what
        needs no gradient.
        """
        from reference_impl.engine import pull_back

        return pull_back(self, cotangents)

    def __repr__(self) -> str:
        return f"<{type(_shown(self)).__name__} object at {id(self):#x}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_saved_"):  # as PyTorch shows what a node keeps: _saved_self, _saved_other, _saved_result
            from reference_impl.engine import saved_value

            return saved_value(self, name.removeprefix("_saved_"))
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


_metadata: weakref.WeakKeyDictionary[Node, dict[str, Any]] = weakref.WeakKeyDictionary()


def _end_of_edge(end: Target | None) -> tuple[Any, int]:
    if isinstance(end, Output):
        return _shown(end.of), end.index
    if isinstance(end, Tensor):
        return None if is_out_of_reach(end) else accumulator(end), 0
    return _shown(end), 0


def _shown(node: Node | None) -> Node | None:
    """Return a node that the user will see, its class now named as the node: names cost nothing before."""
    if node is not None and type(node).__name__ != (name := node.name()).rpartition(":")[2]:
        rename(node, name)
    return node


def rename(node: Node | None, name: str) -> None:
    """Give a node another name than its primitive's. Its class has it, so that other nodes need no room for one."""
    if node is not None:
        base = type(node)
        if (base, name) not in _renamed:
            shown = name.rpartition(":")[2]  # without a namespace
            _renamed[base, name] = type(shown, (base,), {"__slots__": (), "name": lambda node: name})
        object.__setattr__(node, "__class__", _renamed[base, name])


_renamed: dict[tuple[Any, str], Any] = {}


class JointNode(Node):
    """A node whose rule gives the cotangents of all arguments at once: a custom Function. It keeps no `saved`."""

    __slots__ = ()

    def pull_back(self, ct: Any, create_graph: bool) -> Sequence[Any]:
        """Return one cotangent an edge, or None; `ct` is None if no cotangent arrived."""
        raise NotImplementedError

    def free(self) -> None:
        """Drop what was saved."""


class Output(Node):
    """The place of one output of a node that has several: a node of its own, between the tensor and the other one.

    Edges lead here, hooks and `retain_grad` of the tensor stay here, and the one rule hands the cotangent on as
    ``Cotangents``, whose sum is the collection of them. So the sweep knows nothing of several outputs.
    """

    __slots__ = ("index", "of")

    def __init__(self, primitive: Primitive, of: Node, index: int, like: Like) -> None:
        super().__init__(primitive, (of,), ((index, like),), (), None, False)
        self.of = of
        self.index = index

    def name(self) -> str:
        """Return the name of the node whose output this is."""
        return self.of.name()


Like = tuple[tuple[tuple[int, ...], Any], ...]  # shape and dtype of each output


class Cotangents:
    """The cotangents that arrived at a node with several outputs; those of outputs that were not used are zeros."""

    __slots__ = ("arrived", "like")

    def __init__(self, like: Like, arrived: dict[int, Any]) -> None:
        self.like = like
        self.arrived = arrived

    def __getitem__(self, index: int) -> Any:
        if index not in self.arrived:
            shape, dtype = self.like[index]
            return np.zeros(shape, dtype)
        return self.arrived[index]

    def __add__(self, other: Cotangents) -> Cotangents:
        both = {k: self.arrived[k] + other.arrived[k] for k in self.arrived.keys() & other.arrived.keys()}
        return Cotangents(self.like, self.arrived | other.arrived | both)


# Python takes twice as long to call a class that has an `__init__` as to call a function that fills the slots. Ops make
# their results, nodes and views with these.

_new = object.__new__


def view_of(base: Tensor, path: Path | None, kind: str, version: int, inherited: bool) -> View:
    """Return what ``View(...)`` returns."""
    view: View = _new(View)
    view._base = base
    view.path = path
    view.kind = kind
    view.version = version
    view.inherited = inherited
    return view


def tensor_of(array: Any) -> Tensor:
    """Return what ``Tensor(array)`` returns for a NumPy array."""
    x: Tensor = _new(Tensor)
    x.array = array
    x._node = x._grad = x._view = x._hooks = None
    x._requires_grad = False
    x.storage = storage = new_storage()
    storage.version = 0
    return x


def first_view(array: Any, base: Tensor, path: Path) -> Tensor:
    """Return the tensor of an array that was cut out of a base, which is no view itself, while ops were recorded."""
    x: Tensor = _new(Tensor)
    x.array = array
    x._node = x._grad = x._hooks = None
    x._requires_grad = False
    x.storage = storage = base.storage
    x._view = view = _new(View)
    view._base = base
    view.path = path
    view.kind = ""
    view.version = storage.version
    view.inherited = False
    return x


class AccumulateGrad:
    """The end of an edge at a leaf, as `grad_fn.next_functions` shows it. The leaf itself keeps its hooks."""

    __slots__ = ("__weakref__", "variable")

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    def name(self) -> str:
        """Return the class name, with PyTorch's namespaces."""
        return "torch::autograd::AccumulateGrad"

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook` with a tuple of the gradient that is about to be accumulated; a tuple that it returns replaces it."""
        return RemovableHandle(hooks_of(self.variable).before, hook)

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook((), (gradient,))`` after the accumulation."""
        return RemovableHandle(hooks_of(self.variable).after, hook)

    next_functions: tuple[()] = ()

    def __call__(self, *cotangents: Tensor) -> tuple[()]:
        """Add a cotangent to the leaf's `.grad`."""
        from reference_impl.engine import accumulate

        return accumulate(self.variable, cotangents)

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


# Keyed by id: an accumulator keeps its leaf alive, so while the entry lives the id is the leaf's.
_accumulators: weakref.WeakValueDictionary[int, AccumulateGrad] = weakref.WeakValueDictionary()


def accumulator(leaf: Tensor) -> AccumulateGrad:
    """Return the one `AccumulateGrad` of a leaf while somebody holds it."""
    found = _accumulators.get(id(leaf))
    if found is None:
        found = _accumulators[id(leaf)] = AccumulateGrad(leaf)
    return found


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    Make one with `tensor`, `zeros`, `arange` and the like. All functions of the package whose first argument is a tensor
    are methods too.

    Attributes:
        array: the values, a NumPy array (or an array of a registered foreign type).
    """

    # A user's own attributes have room, too; most tensors have none.
    __slots__ = ("__dict__", "__weakref__", "_grad", "_hooks", "_node", "_requires_grad", "_view", "array", "storage")
    __array_priority__ = 1000  # NumPy scalars and arrays leave the operators to us

    def __init__(self, data: Any = (), node: Any = None, *sizes: int) -> None:
        if node is not None and type(data) is int:  # Tensor(2, 3), where PyTorch's numbers are whatever they are
            data, node = Size((data, node, *sizes)), None
        self.array: Any = data if type(data) is _ndarray else _foreign_or_float(data)
        self._node = node
        self._requires_grad = node is not None
        self._grad: Tensor | None = None
        self._view: View | None = None
        self._hooks: Hooks | None = None
        self.storage = storage = new_storage()
        storage.version = 0  # here, since an `__init__` would cost as much as all the rest

    if TYPE_CHECKING:
        # The functions of the package become methods in `methods.py`.
        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...

    # -- the place in the graph

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor; None for a leaf."""
        refresh(self, asked=True)
        node = self._node
        return _shown(node.of if isinstance(node, Output) else node)

    @property
    def is_leaf(self) -> bool:
        """True if no node made it: the user did, or recording was off."""
        refresh(self, asked=True)
        return self._node is None

    @property
    def output_nr(self) -> int:
        """Index among its node's outputs."""
        refresh(self)
        return self._node.index if isinstance(self._node, Output) else 0

    @property
    def requires_grad(self) -> bool:
        """True if backward passes gradients to or through this tensor."""
        view = self._view
        if view is None:
            return self._requires_grad
        return (self._requires_grad and not view.inherited) or view.base._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if not isinstance(flag, bool):
            raise RuntimeError(f"requires_grad must be a bool, got {flag!r}")
        if self._node is not None:
            hint = (
                " If you want to use a computed variable in a subgraph that doesn't require differentiation use "
                "var_no_grad = var.detach()."
            )
            raise RuntimeError(f"you can only change requires_grad flags of leaf variables.{'' if flag else hint}")
        if flag and self.array.dtype.kind != "f":
            raise RuntimeError(
                f"only Tensors of floating point dtype can require gradients, got {self.dtype} "
                "(Only Tensors of floating point and complex dtype can require gradients)"
            )
        if flag and self.is_inference() and not mode.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        self._requires_grad = flag
        if self._view is not None:
            self._view.inherited = False

    @requires_grad.deleter
    def requires_grad(self) -> None:
        raise RuntimeError("requires_grad must be a bool: it cannot be deleted")

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set the flag in place and return the tensor.

        Raises:
            RuntimeError: the dtype is not floating point, or a non-leaf is asked to stop.
            TypeError: the flag is not a bool.
        """
        if not isinstance(requires_grad, bool):
            raise TypeError(
                f"requires_grad_(): argument 'requires_grad' (position 1) must be bool, not {type(requires_grad).__name__}"
            )
        if self._node is None or not requires_grad:  # a non-leaf requires grad already
            self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient, None before the first backward."""
        if self._grad is None and self._node is not None and not self.retains_grad:
            import warnings

            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't "
                "be populated during autograd.backward(). Use .retain_grad() on it if you want its gradient.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is None:
            self._grad = None
            return
        if not isinstance(value, Tensor):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value.dtype is not self.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{value.dtype}' to a tensor with grad dtype '{self.dtype}'. "
                "Please ensure that the gradient and the tensor have the same dtype"
            )
        if value.array.shape != self.array.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of size '{list(self.shape)}'. "
                "Please ensure that the gradient and the tensor are the same size"
            )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def retain_grad(self) -> None:
        """Make backward store this non-leaf's gradient in `.grad`, also after in-place operations on it.

        Raises:
            RuntimeError: the tensor does not require grad.
        """
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._node is not None and not self.retains_grad:
            refresh(self, asked=True)
            retain = weakref.ref(self)
            hooks_of(self._node).retain = hooks_of(self).retain = retain

    @property
    def retains_grad(self) -> bool:
        """True for a non-leaf whose gradient backward stores."""
        return self._hooks is not None and self._hooks.retain is not None

    @property
    def _version(self) -> int:
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        return self.storage.version

    def is_inference(self) -> bool:
        """Tell whether the tensor was made in inference mode."""
        return type(self.storage) is not Storage  # see `inference`

    @property
    def _base(self) -> Tensor | None:
        return None if self._view is None else self._view.base

    def _is_view(self) -> bool:
        return self._view is not None

    def detach(self) -> Tensor:
        """Return a constant that shares this tensor's memory and version counter."""
        array = self.array
        if type(array) is not _ndarray:  # a foreign array may hold derivatives of its own
            array = _foreign_types[type(array)]("detach", (array,), {})
        out = Tensor(array)
        out.storage = self.storage
        return out

    def detach_(self) -> Tensor:
        """Cut the tensor from its history in place and return it.

        Raises:
            RuntimeError: the tensor is a view.
        """
        if self._view is not None:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
                "training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets."
            )
        if self._node is not None:
            detached.add(weakref.ref(self._node, detached.discard))
        self._node = None
        self._requires_grad = False
        return self

    @property
    def data(self) -> Tensor:
        """The values as a leaf of their own: same memory, separate version counter, so writes escape the checks."""
        out = Tensor(self.array)
        if self.is_inference():
            out.storage = self.storage
        return out

    @data.setter
    def data(self, other: Tensor) -> None:
        if not isinstance(other, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(other).__name__}")
        if self._requires_grad and other.array.dtype.kind != "f":
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        self.array = other.array

    @data.deleter
    def data(self) -> None:
        raise RuntimeError("Deleting tensor data is not allowed. Delete tensor instead!")

    # -- shape and type

    @property
    def shape(self) -> Size:
        """The lengths of the dimensions."""
        return Size(self.array.shape)

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the length of one dimension."""
        if dim is None:
            return self.shape
        if not -self.array.ndim <= dim < self.array.ndim:
            raise _no_dimension(dim, self.array.ndim)
        return self.array.shape[dim]

    @property
    def dtype(self) -> DType:
        """The element type."""
        return from_numpy_dtype(self.array.dtype)

    def type(self, dtype: DType | str | None = None) -> Any:
        """Return PyTorch's name of the tensor's type, such as "torch.FloatTensor"; with a dtype or such a name the tensor
        in that.

        Raises:
            ValueError: there is no type of that name.
        """
        if dtype is None:
            return type_name(self.array.dtype)
        if isinstance(dtype, str):
            if dtype not in _named_types:
                raise ValueError(f"invalid type: '{dtype}'")
            dtype = _named_types[dtype]
        return self.to(dtype)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return int(self.array.ndim)

    def dim(self) -> int:
        """Return the number of dimensions."""
        return int(self.array.ndim)

    def numel(self) -> int:
        """Return the number of elements."""
        return int(self.array.size)

    nelement = numel

    def element_size(self) -> int:
        """Return the bytes of one element."""
        return int(self.array.itemsize)

    def stride(self, dim: int | None = None) -> Any:
        """Return the steps between neighbours, in elements."""
        steps = tuple(s // self.array.itemsize for s in self.array.strides)
        if dim is not None and not -len(steps) <= dim < len(steps):
            raise _no_dimension(dim, len(steps))
        return steps if dim is None else steps[dim]

    def data_ptr(self) -> int:
        """Return the address of the first element, to see whether two tensors share memory."""
        return int(self.array.__array_interface__["data"][0])

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Tell whether the elements lie in row-major order without gaps, whatever the format of dense memory is called."""
        return bool(self.array.flags.c_contiguous)

    def is_floating_point(self) -> bool:
        """Tell whether the element type is a float."""
        return bool(self.array.dtype.kind == "f")

    device = CPU

    # -- out of the tape

    def numpy(self, *, force: bool = False) -> Any:
        """Return the values as a NumPy array that shares memory.

        Args:
            force: also of a tensor that requires grad.

        Raises:
            RuntimeError: the tensor requires grad.
        """
        if self.requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        values = self.numpy()
        return np.array(values, dtype=dtype, copy=True) if copy else np.asarray(values, dtype=dtype)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
        """What a function of NumPy makes of a tensor is a tensor; truth values are numbers there, as in PyTorch."""
        return Tensor(np.asarray(array.astype(np.uint8) if array.dtype == bool else array))

    def storage_offset(self) -> int:
        """Return how many elements of the memory lie before the first of a view; 0 of a tensor that is none."""
        base = self.array if self._view is None else self._view.base.array
        gap = self.data_ptr() - int(base.__array_interface__["data"][0])
        return gap // int(self.array.itemsize)

    def new(self, *sizes: Any) -> Tensor:
        """The old name of `new_empty`, or of `new_tensor` for a list."""
        listed = len(sizes) == 1 and isinstance(sizes[0], list | np.ndarray)
        return self.new_tensor(sizes[0]) if listed else self.new_empty(sizes)  # type: ignore[no-any-return]

    def item(self) -> Any:
        """Return the only element as a Python number.

        Raises:
            RuntimeError: there is more or less than one element.
        """
        if self.array.size != 1:
            raise RuntimeError(f"a Tensor with {self.array.size} elements cannot be converted to Scalar")
        return self.array.item()

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers, a number for a 0-d tensor."""
        return self.array.tolist()

    def __bool__(self) -> bool:
        if self.array.size > 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        if self.array.size == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        return bool(self.array.item())

    def _number(self) -> Any:
        if self.array.size != 1:
            raise ValueError(f"only one element tensors can be converted to Python scalars, got {self.array.size}")
        return self.array.item()

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iu" or self.array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.array.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.array.ndim == 0 else object.__format__(self, spec)

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, Tensor | bool | int | float | np.number | np.bool_):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
            )
        return bool(np.any(self.array == getattr(element, "array", element)))

    def __delitem__(self, index: Any) -> None:
        raise TypeError("Tensor does not support deleting items")

    def is_set_to(self, tensor: Tensor) -> bool:
        """Tell whether another tensor is the same view of the same memory: address, shape and steps."""
        return (self.data_ptr(), self.shape, self.stride()) == (tensor.data_ptr(), tensor.shape, tensor.stride())

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        from reference_impl.printing import render

        return render(self)


def _no_dimension(dim: int, ndim: int) -> IndexError:
    low, high = -max(ndim, 1), max(ndim, 1) - 1
    return IndexError(f"Dimension out of range (expected to be in range of [{low}, {high}], but got {dim})")


class Size(tuple[int, ...]):
    """A shape: a tuple that prints as PyTorch's."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: tuple[int, ...]) -> Size:  # type: ignore[override]  # of integers alone
        return Size(super().__add__(tuple(other)))

    def __radd__(self, other: tuple[int, ...]) -> Size:
        return Size((*other, *self))

    def __mul__(self, times: Any) -> Size:
        return Size(super().__mul__(times))

    __rmul__ = __mul__

    def numel(self) -> int:
        """Return the number of elements."""
        n = 1
        for length in self:
            n *= length
        return n


def type_name(dtype: Any) -> str:
    """Return PyTorch's name of the type of tensors of a NumPy dtype."""
    return f"torch.{scalar_type(dtype)}Tensor"


_named_types = {type_name(d.numpy): d for d in DTYPES}

Target = Union[Node, Tensor]  # noqa: UP007 - evaluated at run time


def not_a_view(x: Tensor) -> Tensor:
    """Return a tensor that was cut out of one which nobody else will see, as a tensor of its own."""
    x._view = None
    return x


def target_of(x: Tensor) -> Target:
    """Return where the cotangent of a tensor that requires grad goes: its node, or the leaf itself."""
    if x._view is not None:
        refresh(x, asked=True)
    return x if x._node is None else x._node


def is_out_of_reach(x: Tensor) -> bool:
    """Tell whether a tensor requires grad only because its base does, so that no gradient flows to it."""
    return x._node is None and x._view is not None and x._view.inherited


def refresh(x: Tensor, *, asked: bool = False) -> None:
    """Bring a view's place in the graph up to date after in-place writes to its base or to another view of it.

    Args:
        x: any tensor.
        asked: the user asked for its place; otherwise an op does, which needs it only if it is recorded.

    Raises:
        RuntimeError: the view's history cannot follow, since it was taken while nothing was recorded, or together with
            others.
    """
    view = x._view
    if view is None:
        return
    base = view.base
    if view.version == x.storage.version or (x._node is None and not base._requires_grad):
        if x._node is None and x._requires_grad is not base._requires_grad and (view.inherited or not x._requires_grad):
            x._requires_grad = view.inherited = base._requires_grad
        return
    if view.kind:
        if asked or mode.enabled:
            raise rewritten(x, "its base or another view of its base has been")
        return
    from reference_impl.primitives import replay

    before, x._node = x._node, replay(base, view.path or ())
    rename(x._node, "AsStridedBackward0")
    x._requires_grad = True
    view.version = x.storage.version
    hand_over_retain(before, x._node)


def hand_over_retain(before: Node | None, now: Node) -> None:
    """Let a tensor that retains its grad get that of its new value; its hooks stay with the old one."""
    if before is not None and before._hooks is not None and before._hooks.retain is not None:
        hooks_of(now).retain, before._hooks.retain = before._hooks.retain, None


def rewritten(x: Tensor, what: str) -> RuntimeError:
    """Return the error for an in-place operation on a view, or around it, whose history cannot be rewritten."""
    view = x._view
    assert view is not None
    several = view.kind not in ("no_grad", "inference", "custom")
    made_by = None
    if x._node is not None:
        index = x._node.index if isinstance(x._node, Output) else 0
        name = f"Output {index} of {x._node.name().removesuffix('0').removesuffix('Backward')}"
        made_by = f"{view.kind if several else name} is a view"
    why = _SEVERAL if several else _CUSTOM if view.kind == "custom" else None
    if why is not None and made_by is not None:
        return RuntimeError(f"{made_by} and {what} modified inplace. {why}")
    mode_name = "inference" if view.kind == "inference" else "no_grad"
    now = "in normal mode" if view.kind == "inference" else "with grad mode enabled"
    subject = "A view was" if made_by is None else f"{made_by} of a view which was"
    end = _AMBIGUOUS.format(mode_name) if why is None else why
    return RuntimeError(f"{subject} created in {mode_name} mode and {what} modified inplace {now}. {end}")


_SEVERAL = (
    "This view is the output of a function that returns multiple views. Such functions do not allow the output views to "
    "be modified inplace. You should replace the inplace operation by an out-of-place one."
)
_CUSTOM = (
    "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to handle "
    "view+inplace would override the custom backward associated with the custom Function, leading to incorrect gradients. "
    "This behavior is forbidden. You can fix this by cloning the output of the custom Function."
)
_AMBIGUOUS = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the "
    "view and the inplace either both inside the {0} block (if you don't want the inplace to be tracked) or both outside "
    "(if you want the inplace to be tracked)."
)


def _float_of(values: Any) -> Any:
    """Return the float type of a list of numbers: NumPy's among them keep theirs, Python's take the default one."""
    items = values if isinstance(values, list | tuple) else ()
    own = {item.dtype for item in items if isinstance(item, np.floating | np.ndarray) and item.dtype.kind == "f"}
    if not own:
        return default_float()
    return np.result_type(*own, *([default_float()] if any(type(item) is float for item in items) else []))


def as_array(values: Any) -> Any:
    """Return values as an array of a dtype that the tape has: Python floats take the default float type."""
    array = np.asarray(values)
    if array.dtype.kind == "f" and not isinstance(values, (np.ndarray, np.generic)):
        array = array.astype(_float_of(values))
    if array.size == 0 and array.dtype == np.float64 and not isinstance(values, np.ndarray):
        array = array.astype(default_float())
    from_numpy_dtype(array.dtype)
    return array


_foreign_types: dict[type, Callable[[str, tuple[Any, ...], dict[str, Any]], Any]] = {}


def _foreign_or_float(data: Any) -> Any:
    if type(data) in _foreign_types:
        return data
    if isinstance(data, np.generic):
        return np.asarray(data)
    if type(data) is int or isinstance(data, Size):
        return np.zeros(data, dtype=default_float())
    return np.array(data, dtype=default_float())
