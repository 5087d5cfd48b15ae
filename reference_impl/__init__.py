"""A tape autograd in plain NumPy with PyTorch's semantics: the executable specification.

>>> import reference_impl as torch
>>> x = torch.arange(4.0, requires_grad=True)
>>> y = 2 * torch.dot(x, x)
>>> y
tensor(28., grad_fn=<MulBackward0>)
>>> y.backward()
>>> x.grad
tensor([ 0.,  4.,  8., 12.])

Start reading at `tensor` (what a tape is made of), then `primitives` (one declaration per op), `engine` (the sweep
backwards), and `ops`, the table of derivatives.
"""

from __future__ import annotations

from reference_impl import autograd, linalg, optim
from reference_impl.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled
from reference_impl.dtypes import (
    DType as dtype,
    bool_ as bool,
    can_cast,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
)
from reference_impl.assembled import *
from reference_impl.copies import *
from reference_impl.devices import contiguous_format, cuda, device, preserve_format, strided
from reference_impl.factories import *
from reference_impl.functions import *
from reference_impl.integers import *
from reference_impl.legacy import *
from reference_impl.limits import finfo, iinfo
from reference_impl.matrices import (
    cholesky,
    cholesky_inverse,
    cholesky_solve,
    det,
    inverse,
    logdet,
    matrix_power,
    slogdet,
    trace,
    triangular_solve,
)
from reference_impl.products import (
    addbmm,
    addmm,
    addmv,
    addr,
    baddbmm,
    bmm,
    cdist,
    chain_matmul,
    cross,
    dist,
    einsum,
    inner,
    kron,
    pdist,
    tensordot,
    vdot,
)
from reference_impl import inplace as _inplace, keywords as _keywords, methods as _methods, uncovered as _uncovered
from reference_impl.printing import set_printoptions
from reference_impl.random import *
from reference_impl.inference import inference_mode, is_inference, is_inference_mode_enabled
from reference_impl.modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from reference_impl.primitives import register_array_type
from reference_impl.tensor import Size, Tensor
from reference_impl import func, nn, return_types, special, utils
from reference_impl.nn.functional import (
    adaptive_avg_pool1d,
    adaptive_max_pool1d,
    avg_pool1d,
    bilinear,
    celu_,
    channel_shuffle,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cosine_similarity,
    dropout,
    group_norm,
    layer_norm,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    pairwise_distance,
    rms_norm,
    rrelu_,
    selu_,
    threshold_,
)
from math import e, inf, nan, pi

globals().update({name: _inplace.IN_PLACE[name] for name in _inplace.FUNCTIONS})
globals().update({name: _keywords.with_tensors(globals()[name]) for name in _keywords.MUST_BE_TENSORS})
globals().update({name: _keywords.with_out(globals()[name]) for name in _keywords.WITH_OUT})
half, float, double, long, int, short = float16, float32, float64, int64, int32, int16
newaxis = None
__version__ = "0.1.0"


__getattr__ = _uncovered.teller_of(__name__)
