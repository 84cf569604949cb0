"""What was found of a model, and how it looks as a table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LayerSummary", "Shape", "Summary"]

Shape = tuple[int, ...]

_COLUMNS = ("layer", "type", "output shape", "parameters", "output", "FLOPs")


@dataclass(frozen=True)
class LayerSummary:
    """One row of a :class:`Summary`; columns of numbers add up to the model's.

    Attributes
    ----------
    name : str
        Dotted, empty for the model itself.
    depth : int
        How deep it lies in the model, which has depth 0.
    kind : str
        Its class.
    calls : int
        How often it was called.
    output_shapes : tuple of tuple of int
        Shapes of all arrays in the output of its first call.
    parameters, trainable : int
        How many numbers are in its own parameters, without those of its sublayers and without what an earlier row has
        counted, and how many of these are trained.
    parameter_bytes : int
        The memory of its own parameters.
    activation_bytes : int
        The memory of the outputs of all its calls; 0 if it has sublayers that were called, or hands on what came in.
    multiply_adds, flops : int
        Of all its calls, without its sublayers' own.
    formula : str or None
        How the operations were counted. None: they were not.
    shared : tuple of str
        Its parameters that an earlier row has counted, each as ``"weight is embedding.weight"``; for a module that
        stands at several places ``"the module is encoder.0"``.
    """

    name: str
    depth: int
    kind: str
    calls: int
    output_shapes: tuple[Shape, ...]
    parameters: int
    trainable: int
    parameter_bytes: int
    activation_bytes: int
    multiply_adds: int
    flops: int
    formula: str | None
    shared: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Summary:
    """What :func:`summary` found; its printed form is a table, in a notebook an HTML table.

    Attributes
    ----------
    rows : tuple of LayerSummary
        The model, then its layers, each above its own.
    parameters, trainable : int
        How many numbers are in the parameters, and how many of these are trained; shared parameters count once.
    parameter_bytes, buffer_bytes : int
        The memory of parameters and of buffers.
    activation_bytes : int
        The memory of all outputs of layers together: about what a backward pass has to keep.
    multiply_adds, flops : int
        Of one forward pass in evaluation mode; a multiply-add is two FLOPs.
    uncounted : tuple of str
        Classes that compute by themselves and have no formula: their operations count as 0.
    """

    rows: tuple[LayerSummary, ...]
    parameters: int
    trainable: int
    parameter_bytes: int
    buffer_bytes: int
    activation_bytes: int
    multiply_adds: int
    flops: int
    uncounted: tuple[str, ...]

    def __str__(self) -> str:
        table = [_COLUMNS, *map(_cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = []
        for cells in table:
            parts = [
                text.ljust(width) if k < 3 else text.rjust(width)
                for k, (text, width) in enumerate(zip(cells, widths, strict=True))
            ]
            lines.append("  ".join(parts).rstrip())
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:], rule, *self._totals()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table for a notebook."""
        from html import escape

        def line(cells: tuple[str, ...], tag: str) -> str:
            aligned = [
                f'<{tag} style="text-align: {"left" if k < 3 else "right"}; white-space: pre">{escape(cell)}</{tag}>'
                for k, cell in enumerate(cells)
            ]
            return f"<tr>{''.join(aligned)}</tr>"

        body = "".join(line(_cells(row), "td") for row in self.rows)
        totals = "<br>".join(map(escape, self._totals()))
        return f"<table><thead>{line(_COLUMNS, 'th')}</thead><tbody>{body}</tbody></table><p>{totals}</p>"

    def _totals(self) -> list[str]:
        frozen = self.parameters - self.trainable
        split = f" ({self.trainable:,} trained, {frozen:,} frozen)" if frozen else ""
        lines = [
            f"parameters: {self.parameters:,}{split}, {_memory(self.parameter_bytes)}",
            f"buffers: {_memory(self.buffer_bytes)}; outputs of layers: {_memory(self.activation_bytes)}",
            f"one forward pass: {self.flops:,} FLOPs, with {self.multiply_adds:,} multiply-adds of two FLOPs each",
        ]
        shared = [f"{row.name or 'the model'}: {', '.join(row.shared)}" for row in self.rows if row.shared]
        if shared:
            lines.append(f"* counted once: {'; '.join(shared)}")
        lines.append("FLOPs are those of portanet.nn's layers; functions called between them count as 0")
        if self.uncounted:
            lines.append(f"no formula, counted as 0: {', '.join(self.uncounted)}")
        return lines


def _memory(count: int) -> str:
    """Bytes in a unit that a reader can take in."""
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.4g} {units[0]}"


def _cells(row: LayerSummary) -> tuple[str, ...]:
    """What stands in the table; a container's zeros are left out."""
    name = "  " * max(row.depth - 1, 0) + (row.name.rpartition(".")[2] or "(model)")
    kind = row.kind + (f" × {row.calls}" if row.calls > 1 else "")
    shapes = ", ".join(str(shape) for shape in row.output_shapes[:3])
    if len(row.output_shapes) > 3:
        shapes += ", …"
    bare = row.formula is None
    parameters = "" if bare and not row.parameters and not row.shared else f"{row.parameters:,}"
    if row.shared:
        parameters += " *"
    output = _memory(row.activation_bytes) if row.activation_bytes else ""
    return name, kind, shapes, parameters, output, "" if bare else f"{row.flops:,}"
