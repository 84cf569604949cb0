"""A module as a pure function of its arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from portanet.errors import StateDictError
from portanet.nn.module import Module

__all__ = ["functional_call"]


@contextmanager
def _replaced(module: Module, arrays: Mapping[str, Any]) -> Iterator[None]:
    places = {
        name: (owner, attribute, value) for name, owner, attribute, value in module._slots(all_buffers=True)
    }
    unknown = [name for name in arrays if name not in places]
    if unknown:
        raise StateDictError(
            f"arrays: {type(module).__name__} has no parameter or buffer named {', '.join(unknown)}; "
            f"it has {', '.join(places)}."
        )
    shared = {id(places[name][2]): array for name, array in arrays.items()}
    before = []
    for name, (owner, attribute, value) in places.items():
        if name in arrays or id(value) in shared:
            attributes = vars(owner)
            before.append((attributes, attribute, attributes[attribute]))
            attributes[attribute] = arrays[name] if name in arrays else shared[id(value)]
    try:
        yield
    finally:
        for attributes, attribute, value in reversed(before):
            attributes[attribute] = value


def functional_call(
    module: Module, arrays: Mapping[str, Any], args: Any = (), kwargs: Mapping[str, Any] | None = None
) -> Any:
    """Call a module as a pure function of its parameters and buffers.

    With raw arrays for all of them and for the inputs, nothing is recorded and a raw array comes back: that is what a
    compiler or an exporter is handed.

    Parameters
    ----------
    module : Module
        It is unchanged afterwards. Not to be called from several threads at once.
    arrays : mapping of str to array or Tensor
        Replacements by dotted name; names left out keep the module's own. A shared Tensor is replaced at all
        of its places, unless each is named.
    args : tuple or a single argument
        What ``forward`` is called with.
    kwargs : mapping, optional
        Keyword arguments.

    Examples
    --------
    >>> layer = pn.nn.Linear(2, 1)
    >>> arrays = {"weight": pn.ones((1, 2)), "bias": pn.zeros((1,))}
    >>> pn.functional_call(layer, arrays, pn.asarray([3.0, 4.0])).tolist()
    [7.0]
    """
    if not isinstance(args, tuple):
        args = (args,)
    with _replaced(module, arrays):
        return module(*args, **(kwargs or {}))
