"""What is done to gradients, parameters and sequences; with PyTorch's names of ``torch.nn.utils``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portanet.late import late_names

if TYPE_CHECKING:
    from portanet.nn.utils import fusion, parametrizations, parametrize, rnn
    from portanet.nn.utils.fusion import (
        fuse_conv_bn_eval,
        fuse_conv_bn_weights,
        fuse_linear_bn_eval,
        fuse_linear_bn_weights,
    )
    from portanet.nn.utils.gradients import (
        clip_grad_norm_,
        clip_grad_value_,
        clip_grads_with_norm_,
        get_total_norm,
        parameters_to_vector,
        vector_to_parameters,
    )
    from portanet.nn.utils.legacy_norms import (
        remove_spectral_norm,
        remove_weight_norm,
        spectral_norm,
        weight_norm,
    )

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "fusion",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]

__getattr__, __dir__ = late_names(
    __name__,
    ["gradients", "rnn", "fusion", "legacy_norms", "parametrizations", "parametrize"],
)
