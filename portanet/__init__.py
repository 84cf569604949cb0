"""Portanet: write the model once against the array API standard, train it on whatever array library is at hand.

This module is itself an array API namespace: it is what ``Tensor.__array_namespace__()`` returns.
"""

from __future__ import annotations

from portanet import data, io, metrics, nn, optim, plot, random
from portanet.autograd import grad
from portanet.backend import (
    available_backends,
    default_device,
    get_backend,
    set_backend,
    use_backend,
)
from portanet.dtypes import *  # noqa: F403
from portanet.functions.creation import *  # noqa: F403
from portanet.functions.elementwise import *  # noqa: F403
from portanet.functions.indexing import *  # noqa: F403
from portanet.functions.inspection import *  # noqa: F403
from portanet.functions.linear_algebra import *  # noqa: F403
from portanet.functions.manipulation import *  # noqa: F403
from portanet.functions.reductions import *  # noqa: F403
from portanet.graph import enable_grad, is_grad_enabled, no_grad
from portanet.io import load, save
from portanet.nn.functional_call import functional_call
from portanet.random import manual_seed
from portanet.threads import get_num_threads, set_num_threads
from portanet.tensor import RECORDED_OPS as __recorded_ops__
from portanet.tensor import Tensor, asarray
