"""Weights as one safetensors file, which PyTorch's own loader reads, too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from portanet.backend import backend_of
from portanet.errors import CheckpointError, DTypeError
from portanet.functions.inspection import to_host
from portanet.protocols import Array
from portanet.tensor import Tensor, as_native, unwrap, wrap

__all__ = ["host_form", "load", "save"]


def save(state_dict: Mapping[str, Array], path: str | os.PathLike[str]) -> None:
    """Write Tensors or arrays by name as a safetensors file.

    The file is written under another name beside ``path``, flushed to disk and then renamed, so that ``path``
    is at every moment either what it was or complete. Its metadata hold a checksum, by which :func:`load` notices
    damage; other readers pass over it.

    Parameters
    ----------
    state_dict : mapping of str to Tensor or array
        What ``Module.state_dict()`` gives.
    path : str or path
        Where to, by custom ending in ``.safetensors``.

    Raises
    ------
    TypeError
        If a value is no array.
    DTypeError
        If it is one of texts, times, complex or other numbers that such a file cannot hold.
    OSError
        If the file cannot be written; an old file at ``path`` is then unharmed.
    """
    from portanet.io.sealed import write_sealed

    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"state_dict: expected a mapping of names to Tensors, got {type(state_dict).__name__}. "
            "Pass model.state_dict()."
        )
    write_sealed(path, {name: host_form(name, value) for name, value in state_dict.items()})


def host_form(name: str, value: Any) -> Any:
    """A value as the file holds it: on the host, in one line, little-endian.

    safetensors writes the memory as it lies, which is wrong for a transposed or broadcast array.
    """
    import numpy as np

    if not isinstance(name, str) or backend_of(unwrap(value)) is None:
        raise TypeError(
            f"state_dict: expected names and Tensors, got {name!r}: {type(value).__name__}. Pass model.state_dict()."
        )
    host = np.asarray(to_host(value), order="C")
    if host.dtype.kind not in "biuf" or host.dtype.itemsize > 8:
        advice = "Save its real and its imaginary part." if host.dtype.kind == "c" else "Convert it first."
        raise DTypeError(
            f"state_dict: {name!r} is {host.dtype.name}, which a safetensors file cannot hold. {advice}"
        )
    return host.astype(host.dtype.newbyteorder("<"), copy=False)


def load(path: str | os.PathLike[str], *, device: Any = None) -> dict[str, Tensor]:
    """Read a safetensors file.

    Parameters
    ----------
    path : str or path
        A file that :func:`save` or any other library wrote.
    device : Device or str, optional
        Where to; default: the backend in use.

    Returns
    -------
    dict of str to Tensor
        For ``Module.load_state_dict``. bfloat16 comes as float32, which holds it exactly.

    Raises
    ------
    CheckpointError
        If the file is damaged, is no safetensors file, or holds a data type that portanet lacks.
    FileNotFoundError
        If there is none.
    """
    from pathlib import Path

    from safetensors import SafetensorError, deserialize

    from portanet.io.sealed import HOST_DTYPES, broken_seal, host_array

    content = Path(path).read_bytes()
    try:
        if broken_seal(content) not in (None, "none"):  # files of other libraries have none
            raise ValueError("its checksum does not fit its bytes")
        views = deserialize(content)  # type: ignore[no-untyped-call]
        unreadable = sorted({view["dtype"] for _, view in views} - {"BF16", *HOST_DTYPES})
        arrays = {} if unreadable else {name: host_array(view) for name, view in views}
    except (SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"path: {os.fspath(path)} is damaged or is not a safetensors file ({error}). Nothing was loaded."
        ) from error
    if unreadable:
        raise CheckpointError(
            f"path: {os.fspath(path)} holds numbers of type {', '.join(unreadable)}, which portanet cannot read; it "
            f"reads {', '.join(HOST_DTYPES)} and BF16. Nothing was loaded."
        )
    return {name: wrap(as_native(array, None, device, None)) for name, array in arrays.items()}
