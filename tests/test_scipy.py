"""SciPy's and scikit-learn's functions on Tensors: the value is NumPy's, the gradient that of finite differences.

Both libraries take arrays of any namespace where they have been ported to the standard, with ``SCIPY_ARRAY_API=1`` and
``array_api_dispatch=True``. What is tried here is what docs/scipy.md lists.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import GradientError

scipy = pytest.importorskip("scipy", reason="compares with SciPy's functions on NumPy arrays")
sklearn = pytest.importorskip("sklearn", reason="compares with scikit-learn's functions on NumPy arrays")
if os.environ.get("SCIPY_ARRAY_API") != "1" or tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17):
    pytest.skip("the list is that of SciPy 1.17, imported with SCIPY_ARRAY_API=1", allow_module_level=True)

from scipy import constants, differentiate, fft, integrate, optimize, signal, special, stats  # noqa: E402
from scipy.cluster.vq import whiten  # noqa: E402
from scipy.optimize import elementwise  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402
from sklearn import (  # noqa: E402
    config_context,
    decomposition,
    discriminant_analysis,
    linear_model,
    preprocessing,
)
from sklearn.metrics import pairwise  # noqa: E402

PAGE = Path(__file__).parents[1] / "docs" / "scipy.md"

Draw = Callable[[Any], Any]
Call = Callable[[Any], Any]


def positive(*shape: int) -> Draw:
    return lambda rng: rng.uniform(0.5, 2.0, size=shape)


def normal(*shape: int) -> Draw:
    return lambda rng: rng.normal(size=shape)


def below_one(*shape: int) -> Draw:
    return lambda rng: rng.uniform(0.1, 0.9, size=shape)


def namespace(x: Any) -> Any:
    return x.__array_namespace__()


def same(x: Any, values: Any) -> Any:
    """Constants in the namespace and the data type of ``x``."""
    return namespace(x).asarray(values, dtype=x.dtype)


def named(module: Any, *names: str) -> dict[str, Call]:
    short = module.__name__.partition(".")[2]
    return {f"scipy.{short}.{name}": getattr(module, name) for name in names}


def statistic(function: Call) -> Call:
    return lambda x: function(x).statistic


def dispatched(function: Call) -> Call:
    """Scikit-learn's switch, which SciPy's environment variable must go with."""

    def call(x: Any) -> Any:
        with config_context(array_api_dispatch=True):
            return function(x)

    return call


def learned(x: Any, transformer: Any) -> Any:
    return transformer.fit_transform(x)


# fmt: off
WORKS: dict[str, tuple[Draw, Call]] = {}
for name, call in {
    **named(
        stats, "zscore", "gmean", "hmean", "skew", "kurtosis", "variation", "kstat", "kstatvar", "sem", "tmean", "tvar",
        "tstd", "tsem", "entropy", "differential_entropy", "circmean", "circvar", "circstd", "iqr",
        "median_abs_deviation", "gstd",
    ),
    "scipy.stats.zmap": lambda x: stats.zmap(x, x * x),
    "scipy.stats.moment": lambda x: stats.moment(x, 3),
    "scipy.stats.pmean": lambda x: stats.pmean(x, 2.0),
    "scipy.stats.quantile": lambda x: stats.quantile(x, 0.3),
    "scipy.stats.boxcox_llf": lambda x: stats.boxcox_llf(0.7, x),
    "scipy.stats.yeojohnson_llf": lambda x: stats.yeojohnson_llf(0.7, x),
    "scipy.stats.directional_stats":
        lambda x: stats.directional_stats(namespace(x).reshape(x, (8, 3))).mean_direction,
    "scipy.stats.combine_pvalues": lambda x: stats.combine_pvalues(x / 3).statistic,
    "scipy.stats.bartlett": lambda x: stats.bartlett(x[:12], x[12:]).statistic,
    "scipy.stats.alexandergovern": lambda x: stats.alexandergovern(x[:12], x[12:]).statistic,
    **{f"scipy.stats.{name}": statistic(getattr(stats, name)) for name in (
        "jarque_bera", "skewtest", "kurtosistest", "normaltest", "power_divergence", "chisquare",
    )},
}.items():
    WORKS[name] = positive(24), call
for name, call in named(
    special, "erf", "erfc", "expit", "logit", "entr", "gammaln", "log_ndtr", "ndtr", "ndtri", "i0", "i0e", "i1", "i1e",
    "digamma", "gamma", "logsumexp", "softmax", "log_softmax", "sinc",
).items():
    WORKS[name] = below_one(6), call
for name, call in named(special, "rel_entr", "kl_div", "xlogy", "xlog1py", "betaln").items():
    WORKS[name] = positive(8), lambda x, call=call: call(x[:4], x[4:])
for name, call in named(
    fft, "fft", "ifft", "rfft", "irfft", "fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn", "hfft",
    "ihfft", "fftshift", "ifftshift",
).items():
    WORKS[name] = normal(4, 6), lambda x, call=call: namespace(x).real(call(x))
for name, call in {
    "scipy.fft.fht": lambda x: fft.fht(x, 0.1, 0.2),
    "scipy.integrate.trapezoid": lambda x: integrate.trapezoid(x, dx=0.3),
    "scipy.integrate.cumulative_trapezoid": lambda x: integrate.cumulative_trapezoid(x, dx=0.3),
    "scipy.integrate.tanhsinh": lambda x: integrate.tanhsinh(
        lambda t, a: namespace(x).exp(-a * a * t * t), namespace(x).zeros_like(x), namespace(x).ones_like(x), args=(x,),
    ).integral,
    "scipy.integrate.cubature": lambda x: integrate.cubature(
        lambda t: namespace(t).exp(-t[:, 0] ** 2) * x[0], same(x, [0.0]), same(x, [1.0])
    ).estimate,
    "scipy.signal.fftconvolve": lambda x: signal.fftconvolve(x[:5], x[5:]),
    "scipy.signal.oaconvolve": lambda x: signal.oaconvolve(x[:5], x[5:]),
    "scipy.signal.hilbert": lambda x: namespace(x).imag(signal.hilbert(x)),
    "scipy.signal.envelope": signal.envelope,
    "scipy.signal.resample": lambda x: signal.resample(x, 6),
    "scipy.differentiate.derivative":
        lambda x: differentiate.derivative(lambda t: namespace(t).exp(t), x).df,
    "scipy.differentiate.jacobian": lambda x: differentiate.jacobian(lambda t: t * t * t, x).df,
    "scipy.optimize.rosen": optimize.rosen,
    "scipy.optimize.rosen_der": optimize.rosen_der,
    "scipy.optimize.rosen_hess": optimize.rosen_hess,
    "scipy.optimize.rosen_hess_prod": lambda x: optimize.rosen_hess_prod(x, x),
    "scipy.spatial.transform.Rotation.from_quat": lambda x: Rotation.from_quat(x[:4]).as_matrix(),
    "scipy.spatial.transform.Rotation.from_rotvec": lambda x: Rotation.from_rotvec(x[:3]).as_matrix(),
    "scipy.spatial.transform.Rotation.from_euler": lambda x: Rotation.from_euler("xyz", x[:3]).as_matrix(),
    "scipy.spatial.transform.Rotation.apply": lambda x: Rotation.from_quat(x[:4]).apply(x[4:7]),
    "scipy.spatial.transform.Rotation.magnitude": lambda x: Rotation.from_rotvec(x[:3]).magnitude(),
}.items():
    WORKS[name] = normal(8), call
for name, call in {
    "scipy.constants.convert_temperature": lambda x: constants.convert_temperature(x, "Celsius", "Fahrenheit"),
    "scipy.constants.lambda2nu": constants.lambda2nu,
    "scipy.constants.nu2lambda": constants.nu2lambda,
    "scipy.signal.freqz": lambda x: namespace(x).abs(signal.freqz(x, worN=8)[1]),
    "scipy.signal.normalize": lambda x: signal.normalize(x, x)[0],
}.items():
    WORKS[name] = positive(4), call
WORKS["scipy.cluster.vq.whiten"] = positive(8, 3), whiten
for name in (
    "cosine_similarity", "cosine_distances", "euclidean_distances", "linear_kernel", "polynomial_kernel", "rbf_kernel",
    "sigmoid_kernel", "laplacian_kernel", "chi2_kernel", "additive_chi2_kernel", "manhattan_distances",
    "paired_cosine_distances", "paired_euclidean_distances",
):
    function = getattr(pairwise, name)
    WORKS[f"sklearn.metrics.pairwise.{name}"] = (
        positive(8, 3), dispatched(lambda x, function=function: function(x[:4], x[4:]))
    )
for name in ("MinMaxScaler", "MaxAbsScaler", "Normalizer", "PolynomialFeatures"):
    transformer = getattr(preprocessing, name)
    WORKS[f"sklearn.preprocessing.{name}"] = (
        positive(8, 3), dispatched(lambda x, transformer=transformer: learned(x, transformer()))
    )
WORKS["sklearn.preprocessing.KernelCenterer"] = (
    positive(4, 4), dispatched(lambda x: learned(x @ x.T, preprocessing.KernelCenterer()))
)
WORKS["sklearn.preprocessing.normalize"] = positive(8, 3), dispatched(preprocessing.normalize)
WORKS["sklearn.decomposition.PCA"] = (
    positive(8, 3),
    dispatched(lambda x: decomposition.PCA(n_components=2, svd_solver="full").fit(x).explained_variance_),
)
WORKS["sklearn.linear_model.Ridge"] = (
    positive(8, 4), dispatched(lambda x: linear_model.Ridge(solver="svd").fit(x[:, :3], x[:, 3]).coef_)
)
WORKS["sklearn.discriminant_analysis.LinearDiscriminantAnalysis"] = (
    positive(8, 3),
    dispatched(lambda x: discriminant_analysis.LinearDiscriminantAnalysis().fit(
        x, namespace(x).asarray([0, 1] * 4)
    ).coef_),
)

# Written for NumPy inside: they ask for NumPy arrays, which a Tensor that wants a gradient refuses to become.
COERCE: dict[str, tuple[Draw, Call]] = {
    "scipy.integrate.simpson": (normal(9), lambda x: integrate.simpson(x, dx=0.3)),
    "scipy.signal.convolve": (normal(16), lambda x: signal.convolve(x[:12], x[12:])),
    "scipy.signal.detrend": (normal(16), signal.detrend),
    "scipy.signal.lfilter": (normal(16), lambda x: signal.lfilter(same(x, [0.5, 0.5]), same(x, [1.0, -0.2]), x)),
    "scipy.signal.welch": (normal(64), lambda x: signal.welch(x, nperseg=16)[1]),
    "scipy.fft.dct": (normal(8), fft.dct),
    "scipy.linalg.det": (normal(3, 3), scipy.linalg.det),
    "scipy.linalg.inv": (normal(3, 3), scipy.linalg.inv),
    "scipy.linalg.expm": (normal(3, 3), scipy.linalg.expm),
    "scipy.spatial.distance.cdist": (normal(4, 3), lambda x: scipy.spatial.distance.cdist(x, x + 1.0)),
    "scipy.ndimage.gaussian_filter": (normal(6, 6), lambda x: scipy.ndimage.gaussian_filter(x, 1.0)),
    "scipy.stats.ttest_1samp": (positive(12), lambda x: stats.ttest_1samp(x, 1.0).statistic),
    "scipy.stats.ttest_ind": (positive(12), lambda x: stats.ttest_ind(x[:6], x[6:]).statistic),
    "scipy.stats.pearsonr": (positive(12), lambda x: stats.pearsonr(x[:6], x[6:]).statistic),
    "scipy.stats.linregress": (positive(12), lambda x: stats.linregress(x[:6], x[6:]).slope),
}
# fmt: on


def value_of(found: Any) -> Any:
    return np.asarray(found.detach().numpy() if isinstance(found, pn.Tensor) else found)


@pytest.mark.parametrize("name", WORKS)
def test_the_value_is_numpys_and_the_gradient_a_finite_difference(name: str, rng: Any) -> None:
    draw, call = WORKS[name]
    x = draw(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small samples, and of what NumPy itself deprecates
        expected = np.asarray(call(x))
        tensor = pn.Tensor(x, requires_grad=True)
        found = call(tensor)
        assert isinstance(found, pn.Tensor)
        np.testing.assert_allclose(value_of(found), expected, rtol=1e-8, atol=1e-10)
        cotangent, direction = rng.normal(size=expected.shape), rng.normal(size=x.shape)
        (gradient,) = pn.grad(found, tensor, pn.asarray(cotangent))
        step = 1e-6
        ends = [np.asarray(call(x + sign * step * direction)) for sign in (1, -1)]
    difference = cotangent * (ends[0] - ends[1]) / (2 * step)
    size = np.sum(np.abs(difference)) + np.sum(np.abs(gradient.numpy() * direction)) + 1e-3
    assert abs(np.sum(difference) - np.sum(gradient.numpy() * direction)) < 1e-5 * size


@pytest.mark.parametrize("name", COERCE)
def test_what_needs_numpy_says_so_rather_than_lose_the_gradient(name: str, rng: Any) -> None:
    draw, call = COERCE[name]
    x = draw(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(GradientError, match=r"requires a gradient"):
            call(pn.Tensor(x, requires_grad=True))
        np.testing.assert_allclose(value_of(call(pn.asarray(x))), np.asarray(call(x)), rtol=1e-9, atol=1e-12)


def test_there_are_enough() -> None:
    assert len(WORKS) >= 40
    assert len({name.rpartition(".")[0] for name in WORKS}) >= 8


def test_the_page_lists_what_is_tried_here() -> None:
    works, _, coerce = PAGE.read_text(encoding="utf-8").partition("## What asks for NumPy")
    for part, table in ((works, WORKS), (coerce, COERCE)):
        listed = set()
        for row in re.findall(r"^\| `([\w.]+)` \| (.*) \|$", part, re.M):
            listed |= {f"{row[0]}.{name}" for name in re.findall(r"`(\w+)`", row[1])}
        assert listed == set(table)


def test_root_finding_goes_through(rng: Any) -> None:
    """It works on values alone: the root is right, and its derivative would be that of the last steps."""
    x = rng.uniform(0.5, 2.0, size=3)
    found = elementwise.find_root(
        lambda t, a: t**3 - a, (pn.asarray(np.zeros(3)), pn.asarray(np.full(3, 3.0))), args=(pn.asarray(x),)
    )
    np.testing.assert_allclose(value_of(found.x), np.cbrt(x), rtol=1e-12)
