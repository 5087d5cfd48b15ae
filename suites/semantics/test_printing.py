"""What one sees of tensors: lines of numbers, tuples with names, and the names of nodes of composed functions."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'adjudge[torch]'")


@pytest.mark.parametrize(
    "text",
    [
        "T.zeros(20)",
        "-T.zeros(2, 50)",
        "T.full((60,), float('nan'))",
        "T.tensor([0.0, float('inf')] * 30)",
        "T.arange(100.0).view(2, 50)",
        "T.arange(2000).view(2, 1000)",
        "T.ones(7, 7, 7, 7)",
        "T.tensor([[1, 2.5], [1e5, 3]])",
        "T.ones(1001, requires_grad=True) * 2",
        "T.ones(2, 2).max(0)",
        "T.ones(2, 2).sort()",
        "T.ones(3).topk(1)",
        "T.aminmax(T.ones(2))",
        "T.linalg.slogdet(T.eye(2))",
        "T.ones(2).cummax(0)",
        "T.ones(2).median(0)",
    ],
)
def test_text_is_pytorchs(reference: Any, torch: Any, text: str) -> None:
    assert repr(eval(text, {"T": reference})) == repr(eval(text, {"T": torch}))


def test_named_results_are_tuples(torch_like: Any) -> None:
    found = torch_like.tensor([3.0, 5.0]).max(0)
    assert isinstance(found, torch_like.return_types.max)
    values, indices = found
    assert (values.item(), indices.item()) == (found.values.item(), found[1].item()) == (5.0, 1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AddmmBackward0", "F.linear(x, x, x[0])"),
        ("AddmmBackward0", "T.addmm(x, x, x)"),
        ("MmBackward0", "x @ x"),
        ("MvBackward0", "x @ x[0]"),
        ("DotBackward0", "x[0] @ x[0]"),
        ("BmmBackward0", "T.bmm(x[None], x[None])"),
        ("UnsafeViewBackward0", "x[None] @ x"),
        ("NllLossBackward0", "F.cross_entropy(x, T.tensor([0, 1]))"),
        ("MseLossBackward0", "F.mse_loss(x, x.detach())"),
        ("BinaryCrossEntropyBackward0", "F.binary_cross_entropy(x, T.ones(2, 2))"),
        ("BinaryCrossEntropyWithLogitsBackward0", "F.binary_cross_entropy_with_logits(x, T.ones(2, 2))"),
        ("SmoothL1LossBackward0", "F.smooth_l1_loss(x, T.ones(2, 2))"),
        ("HuberLossBackward0", "F.huber_loss(x, T.ones(2, 2))"),
        ("NativeLayerNormBackward0", "F.layer_norm(x, (2,))"),
        ("EmbeddingBackward0", "F.embedding(T.tensor([0]), x)"),
        ("MaxPool2DWithIndicesBackward0", "F.max_pool2d(x[None, None], 2)"),
        ("AvgPool2DBackward0", "F.avg_pool2d(x[None, None], 2)"),
        ("MaxBackward0", "x.max(0).values"),
        ("MaxBackward1", "x.max()"),
        ("SortBackward0", "x.sort().values"),
        ("SumBackward1", "x.sum(0)"),
        ("MeanBackward1", "x.mean(0)"),
        ("ClampBackward1", "x.clamp(min=0)"),
        ("ToCopyBackward0", "x.double()"),
        ("LogSigmoidBackward0", "F.logsigmoid(x)"),
        ("LinalgVectorNormBackward0", "x.norm()"),
        ("MaskedFillBackward0", "x.masked_fill(x > 0, 0)"),
        ("LinalgInvExBackward0", "T.inverse(x + T.eye(2))"),
        ("LinalgSolveExBackward0", "T.linalg.solve(x + T.eye(2), x)"),
    ],
)
def test_nodes_have_pytorchs_names(torch_like: Any, name: str, text: str) -> None:
    x = torch_like.ones(2, 2, requires_grad=True)
    y = eval(text, {"T": torch_like, "F": torch_like.nn.functional, "x": x})
    assert f"grad_fn=<{name}>" in repr(y)


def test_names_outlast_the_graph(torch_like: Any) -> None:
    x = torch_like.ones(2, 2, requires_grad=True)
    y = (x @ x).sum(0)
    y.sum().backward()
    assert [y.grad_fn.name(), y.grad_fn.next_functions[0][0].name()] == ["SumBackward1", "MmBackward0"]
    y = x.half()
    assert [y.sum(0).grad_fn.name(), y[0].grad_fn.name()] == ["SumBackward1", "SelectBackward0"]


def test_utilities_need_no_import_of_their_own(torch_like: Any) -> None:
    assert callable(torch_like.utils.checkpoint.checkpoint)


def test_bias_of_a_convolution_has_one_number_a_channel(torch_like: Any) -> None:
    functional = torch_like.nn.functional
    with pytest.raises(
        RuntimeError, match=r"expected bias to be 1-dimensional with 1 elements, but got bias of size \[2\]"
    ):
        functional.conv2d(torch_like.ones(1, 1, 4, 4), torch_like.ones(1, 1, 3, 3), torch_like.ones(2))


def test_classes_of_losses_are_integers_one_a_row(torch_like: Any) -> None:
    functional = torch_like.nn.functional
    logits = torch_like.ones(1, 3)
    for dtype, name in ((torch_like.float32, "Float"), (torch_like.int32, "Int")):
        with pytest.raises(RuntimeError, match=f"expected target dtype to be Long or Byte, but got {name}"):
            functional.cross_entropy(logits, torch_like.zeros(1, dtype=dtype))
    with pytest.raises(ValueError, match=r"Expected input batch_size \(1\) to match target batch_size \(2\)"):
        functional.cross_entropy(logits, torch_like.tensor([0, 1]))


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"sci_mode": True},
        {"sci_mode": False},
        {"threshold": 5, "edgeitems": 1},
        {"linewidth": 40},
        {"profile": "short"},
        {"profile": "full"},
    ],
    ids=str,
)
def test_options_of_printing(reference: Any, torch: Any, options: dict[str, Any]) -> None:
    texts = []
    for module in (reference, torch):
        module.set_printoptions(**options)
        try:
            texts.append([repr(module.arange(1001) / 3), repr(module.arange(30)), repr(module.tensor([1e-8, 2.0]))])
        finally:
            module.set_printoptions(profile="default")
    assert texts[0] == texts[1]
    assert repr(reference.tensor([1 / 3])) == "tensor([0.3333])"


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_losses_warn_of_targets_that_are_broadcast(torch_like: Any, name: str) -> None:
    loss = getattr(torch_like.nn.functional, name)
    with pytest.warns(
        UserWarning, match=r"Using a target size \(torch.Size\(\[3\]\)\) that is different to the input size"
    ):
        assert loss(torch_like.ones(2, 3), torch_like.ones(3)).item() == 0.0
