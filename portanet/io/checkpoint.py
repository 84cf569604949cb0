"""Checkpoints: a tree of plain values and Tensors as one sealed safetensors file.

The arrays are the file's tensors, named by their place in the tree (``model/0.weight``), so that any reader of
safetensors can have them. The rest is JSON in the file's metadata, in which ``{"$tensor": name}`` stands for an array.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from portanet.backend import backend_of
from portanet.errors import CheckpointError
from portanet.io.sealed import parse_json, read_sealed, write_sealed
from portanet.io.weights import host_form
from portanet.tensor import as_native, unwrap, wrap

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["latest_checkpoint", "load_checkpoint", "newest_sound", "save_checkpoint"]

_FORMAT = "portanet.checkpoint.1"
_DEEPEST = 100
"""How far mappings and lists may be nested: what is saved must not be too deep for whoever reads it."""
_LONG_LIST = 64
"""Lists of at least so many floats, or integers, are stored as arrays: a run's losses would make the JSON long."""
_LONG_KINDS = ((float, "$floats", "float64"), (int, "$integers", "int64"))
_COLLIDING = 16
"""So many keys of a table may have one hash: of honest keys hardly two have, and with many a table takes for ever."""


def save_checkpoint(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write everything that a run needs to go on, in one file.

    The file is written under another name beside ``path``, flushed to disk and then renamed, so that ``path`` is at
    every moment either what it was or complete. It carries a checksum over all its bytes.

    Parameters
    ----------
    state : mapping
        Names to Tensors, arrays, numbers, texts, None, and to mappings, lists and tuples of them: state dicts of
        models, optimizers and schedules, states of generators, and whatever else. Numbers come back as they were, bit
        for bit.
    path : str or path
        Where to, by custom ending in ``.safetensors``.

    Raises
    ------
    TypeError
        If something in it is none of these, or is nested too deeply; the error says where.
    CheckpointError
        If names and plain values take more than a reader would read; arrays, and long lists of floats or of integers,
        do not count.
    OSError
        If the file cannot be written; an old file at ``path`` is then unharmed.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> model = pn.nn.Linear(2, 1)
    >>> optimizer = pn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> path = folder.name + "/run.safetensors"
    >>> pn.io.save_checkpoint({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
    >>> saved = pn.io.load_checkpoint(path)
    >>> model.load_state_dict(saved["model"]), saved["epoch"]
    (UnmatchedKeys(missing_keys=[], unexpected_keys=[]), 3)
    >>> folder.cleanup()
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"state: expected a mapping of names to what is to be saved, got {type(state).__name__}. Pass, for "
            "example, {'model': model.state_dict(), 'optimizer': optimizer.state_dict()}."
        )
    arrays: dict[str, Any] = {}
    text = json.dumps(_encode(state, "", arrays, 0), separators=(",", ":"), allow_nan=False)
    write_sealed(path, arrays, {"format": _FORMAT, "state": text})


def load_checkpoint(path: str | os.PathLike[str], *, device: Any = None) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote.

    Parameters
    ----------
    path : str or path
        The file.
    device : Device or str, optional
        Where the Tensors go; default: the backend in use.

    Returns
    -------
    dict
        The state as it was given. bfloat16 comes as float32, which holds it exactly.

    Raises
    ------
    CheckpointError
        If the file is damaged or is no checkpoint. The error names the newest sound checkpoint beside it.
    FileNotFoundError
        If there is none.
    """
    try:
        return _read(path, device)
    except CheckpointError as error:
        sound = latest_checkpoint(os.path.dirname(os.fspath(path)) or ".")
        if sound is None:
            raise
        raise CheckpointError(f"{error} The newest sound checkpoint beside it is {sound}.") from error


def latest_checkpoint(folder: str | os.PathLike[str]) -> Path | None:
    """The newest checkpoint in a folder that is sound.

    Parameters
    ----------
    folder : str or path
        Files in it that end in ``.safetensors`` are read, the newest first, until one proves sound; damaged ones, and
        weights files, are passed over.

    Returns
    -------
    Path or None
        None if there is none, or no such folder.
    """
    return newest_sound(folder, "numpy:cpu")[0]


def newest_sound(
    folder: str | os.PathLike[str], device: Any
) -> tuple[Path | None, dict[str, Any], list[str]]:
    """The newest sound checkpoint in a folder, its state, and why newer files that are no weights cannot be read."""
    from pathlib import Path

    files = []
    for path in Path(folder).glob("*.safetensors"):
        try:
            if path.is_file():  # to open a pipe would wait for a writer
                files.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:  # replaced or removed meanwhile
            continue
    refused: list[str] = []
    for _, path in sorted(files, reverse=True):
        try:
            return path, _read(path, device), refused
        except _OtherFileError:
            continue
        except (CheckpointError, OSError) as error:
            refused.append(str(error))
    return None, {}, refused


def _read(path: str | os.PathLike[str], device: Any) -> dict[str, Any]:
    arrays, metadata = read_sealed(path)
    if "format" not in metadata:
        raise _OtherFileError(
            f"path: {os.fspath(path)} is no checkpoint; it may hold weights, for portanet.load. Nothing was loaded."
        )
    try:
        if metadata.get("format") != _FORMAT:
            raise _NotDecodableError(f"its format is {metadata.get('format')!r}, not {_FORMAT!r}")
        tree = parse_json(metadata.get("state", ""))
        state = _decode(tree, arrays, device)
        if type(state) is not dict or arrays:
            raise _NotDecodableError("it holds no mapping, or arrays that belong nowhere")
    except (ValueError, RecursionError, TypeError) as error:
        raise CheckpointError(
            f"path: {os.fspath(path)} is no checkpoint that this version can read ({error}). Nothing was loaded."
        ) from error
    return state


class _OtherFileError(CheckpointError):
    """A sound file is no checkpoint at all."""


class _NotDecodableError(ValueError):
    """Why the JSON of a file is not that of a checkpoint."""


def _encode(value: Any, place: str, arrays: dict[str, Any], depth: int) -> Any:
    """The JSON form of a value; arrays in it go to ``arrays``."""
    if depth > _DEEPEST:
        raise TypeError(
            f"state: {place[1:60]!r}... is nested more than {_DEEPEST} deep. Give it a flatter form."
        )
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Mapping):
        parts = [(key, _encode(part, f"{place}/{key}", arrays, depth + 1)) for key, part in value.items()]
        if isinstance(value, Counter):
            return {"$counter": [[_encode(key, place, arrays, depth + 1), part] for key, part in parts]}
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return dict(parts)
        return {"$items": [[_encode(key, place, arrays, depth + 1), part] for key, part in parts]}
    if isinstance(value, (list, tuple)):
        if type(value) is list and len(value) >= _LONG_LIST:
            for kind, mark, dtype in _LONG_KINDS:
                if all(type(part) is kind for part in value) and (kind is float or _are_int64(value)):
                    return {mark: _store(_row(value, dtype), place, arrays)}
        listed = [_encode(part, f"{place}/{number}", arrays, depth + 1) for number, part in enumerate(value)]
        return listed if isinstance(value, list) else {"$tuple": listed}
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else {"$float": str(float(value))}
    if backend_of(unwrap(value)) is None:
        raise TypeError(
            f"state: expected Tensors, numbers, texts, None, and mappings, lists and tuples of them; "
            f"{place[1:] or 'the whole'!r} is a {type(value).__name__}. Give it a state_dict() of these."
        )
    return {"$tensor": _store(host_form(place[1:], value), place, arrays)}


def _are_int64(values: list[int]) -> bool:
    return min(values) >= -(2**63) and max(values) < 2**63


def _row(values: list[Any], dtype: str) -> Any:
    import numpy as np

    return np.array(values, np.dtype(dtype).newbyteorder("<"))


def _store(array: Any, place: str, arrays: dict[str, Any]) -> str:
    name = place[1:]
    while name in arrays or name == "__metadata__":  # {"a/b": ...} beside {"a": {"b": ...}}
        name += "'"
    arrays[name] = array
    return name


def _decode(tree: Any, arrays: dict[str, Any], device: Any) -> Any:
    """The value of a JSON form; each array is taken out of ``arrays``."""
    if isinstance(tree, list):
        return [_decode(part, arrays, device) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if not tree or not any(key.startswith("$") for key in tree):
        return {key: _decode(part, arrays, device) for key, part in tree.items()}
    if len(tree) != 1:
        raise _NotDecodableError(f"{sorted(tree)} in its JSON is unknown")
    kind, content = next(iter(tree.items()))
    if kind == "$tensor" and isinstance(content, str) and content in arrays:
        return wrap(as_native(arrays.pop(content), None, device, None))
    for _, mark, dtype in _LONG_KINDS:
        if kind == mark and isinstance(content, str) and content in arrays:
            values = arrays.pop(content)
            if values.ndim == 1 and values.dtype == dtype:
                return values.tolist()
    if kind == "$float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if isinstance(content, list):
        parts = [_decode(part, arrays, device) for part in content]
        if kind == "$tuple":
            return tuple(parts)
        if kind in ("$items", "$counter") and all(
            isinstance(part, list) and len(part) == 2 for part in parts
        ):
            if max(Counter(hash(key) for key, _ in parts).values(), default=0) > _COLLIDING:
                raise _NotDecodableError(f"keys of a {kind} in its JSON collide")
            table = dict(parts)
            return Counter(table) if kind == "$counter" else table
    raise _NotDecodableError(f"{kind} in its JSON is unknown")
