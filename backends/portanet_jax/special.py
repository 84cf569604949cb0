"""Special functions of JAX."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.scipy.special

from portanet.protocols import Array

__all__ = ["FUNCTIONS"]

# fmt: off
NAMES = (
    "digamma", "erf", "erfc", "erfinv", "gamma", "gammainc", "gammaincc", "gammaln", "i0", "i0e", "i1", "i1e",
    "log_ndtr", "ndtri", "zeta",
)
# fmt: on
CONTINUED_FROM = 5.0
TERMS = 20


def erfcx(x: Array) -> Array:
    """``exp(x**2) * erfc(x)``, which only newer releases of JAX have.

    That product up to 5, where its relative error is 25 times that of ``x``, and the continued fraction of
    Laplace (Abramowitz and Stegun, 7.1.14) beyond, where it converges fast.
    """
    size = jnp.abs(x)
    near, far = jnp.minimum(size, CONTINUED_FROM), jnp.maximum(size, CONTINUED_FROM)
    fraction = far
    for k in range(TERMS, 0, -1):
        fraction = far + (k / 2) / fraction
    product = jnp.exp(near * near) * jax.scipy.special.erfc(near)
    positive = jnp.where(size < CONTINUED_FROM, product, 1 / (jnp.sqrt(jnp.pi).astype(x.dtype) * fraction))
    return jnp.where(x < 0, 2 * jnp.exp(x * x) - positive, jnp.where(jnp.isnan(x), x, positive))


FUNCTIONS: dict[str, Callable[..., Array]] = {
    **{name: getattr(jax.scipy.special, name) for name in NAMES},
    "erfcx": getattr(jax.scipy.special, "erfcx", jax.jit(erfcx)),
}
