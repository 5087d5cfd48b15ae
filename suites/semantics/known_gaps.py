"""Priority 2 rows that the reference does not hold yet: each names its test and why it fails.

A test listed here is expected to fail on the reference, and fails the run when it passes: then its line goes.
"""

from __future__ import annotations

__all__ = ["KNOWN_GAPS"]

CLONES = "IP11: pow_, square_ and abs_ save the value that they overwrite; PyTorch saves a copy of it"
KNOWN_GAPS = {
    "test_a_saved_input_that_was_detached_in_place_is_noticed[reference]": "DT09: detach_ does not mark saved inputs",
    "test_in_place_ops_compute_right_gradients[reference-pow_]": CLONES,
    "test_in_place_ops_compute_right_gradients[reference-square_]": CLONES,
    "test_in_place_ops_compute_right_gradients[reference-abs_]": CLONES,
    "test_an_unused_input_is_refused_none_or_zeros[reference]": "AG02: the message names the input (inputs[0])",
    "test_a_half_precision_leaf_gets_a_half_precision_grad[reference]": "TY06: there is no float16",
    "test_a_non_leaf_among_the_inputs_retains_its_grad_from_then_on[reference]": (
        "BS08: backward(inputs=[non-leaf]) does not switch retain_grad on, and adds twice where it was on"
    ),
    "test_a_gradient_that_is_no_tensor_is_refused[reference-gradient1]": (
        "VJ08: a list of numbers is refused with another error than TypeError"
    ),
}
