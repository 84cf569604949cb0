"""The laws of the house (docs/architecture.md): who may import whom, what an import costs, and what CI runs."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "portanet"
BACKENDS = ROOT / "backends"

# A room may import from the lines above its own and from itself, never from its own line or below.
ORDER = [
    {"errors", "late", "protocols"},
    {"atomic", "checks", "dtypes", "philox", "threads"},
    {"requirements"},
    {"backend"},
    {"anomaly"},
    {"operands", "graph", "ops"},
    {"conversion"},
    {"tensor"},
    {"autograd", "lifting"},
    {"functions", "trees"},
    {"linalg", "fft", "special", "random"},
    {"checkpointing", "transforms", "nn"},
    {"optim", "data", "metrics", "operation_counts"},
    {"info", "io", "model_summary", "plot", "testing"},
    {"train"},
    {"sklearn"},
    {"__init__"},
    {"__main__"},
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}

# The core imports nothing but the standard library and itself. The exceptions, each with its reason:
FOREIGN = {
    "data/orders": {"numpy"},  # orders of samples are host arrays
    "data/processes": {"numpy"},  # whose generator is seeded in each worker process
    "data/readers": {"numpy", "PIL"},  # contents of files are host arrays; the extra `images`
    "philox": {"numpy"},  # random bits for initial weights and shuffles are drawn on the host
    "io": {"numpy", "onnx", "safetensors"},  # a file is written from a host copy; ONNX is the extra `onnx`
    "plot": {"matplotlib"},  # the extra `plot`
    "sklearn": {"numpy", "sklearn"},  # the extra `sklearn`, which hands over NumPy arrays and wants them back
    "train": {"tqdm", "tensorboardX"},  # the extras `train` and `tensorboard`
    "testing": {"numpy", "scipy"},  # what values are compared with; SciPy is the extra `special`
}

# What each backend may import beside the standard library and the core.
LIBRARIES = {
    "portanet_numpy": {"numpy", "scipy"},  # the extra `special`
    "portanet_cupy": {"cupy", "cupyx", "array_api_compat", "numpy"},
    "portanet_torch": {"torch", "array_api_compat", "numpy"},
    "portanet_jax": {"jax", "array_api_compat", "numpy"},
    "portanet_array_api_strict": {"array_api_strict", "numpy"},
}
ARRAY_LIBRARIES = set().union(*LIBRARIES.values()) | {"jaxlib", "ml_dtypes", "scipy"}


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def room_of(path: Path) -> str:
    """The first folder or file below `portanet/`."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[str]:
    """Dotted names of what a file imports, inside functions too, by statement or by a call with a literal name."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                origin = f"{base}.{origin}".removesuffix(".")
            if origin == "portanet":
                yield from (f"portanet.{alias.name}" for alias in node.names)
            else:
                yield origin
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.args[0].value


def core_room(module: str) -> str | None:
    """The room of the core that an imported module belongs to, or None if it is not the core's."""
    top, *rest = module.split(".")
    if top != "portanet":
        return None
    return rest[0] if rest and rest[0] in RANK else "__init__"


def foreign(path: Path) -> set[str]:
    tops = {module.split(".")[0] for module in imported_modules(path)}
    return {top for top in tops if top not in sys.stdlib_module_names and not top.startswith("portanet")}


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_core_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in RANK, f"{room!r} has no place in ORDER: give it one, in docs/architecture.md as well"
    for module in imported_modules(path):
        above = core_room(module)
        if above is not None and above != room:
            assert RANK[above] < RANK[room], f"{room!r} must not see {module!r}"


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_core_names_no_array_library(path: Path) -> None:
    parts = path.relative_to(CORE).with_suffix("").parts
    places = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    assert foreign(path) <= set().union(*(FOREIGN.get(place, set()) for place in places))


@pytest.mark.parametrize("path", sources(BACKENDS), ids=lambda path: str(path.relative_to(BACKENDS)))
def test_backend_knows_one_library_and_the_core_below_tensor(path: Path) -> None:
    package = path.relative_to(BACKENDS).parts[0]
    assert foreign(path) <= LIBRARIES[package]
    for module in imported_modules(path):
        top = module.split(".")[0]
        assert top == package or not top.startswith("portanet_"), f"{package!r} must not see {module!r}"
        room = core_room(module)
        assert room is None or RANK[room] < RANK["tensor"], f"{package!r} must not see {module!r}"


def test_core_does_not_import_a_backend() -> None:
    for path in sources(CORE):
        assert not [module for module in imported_modules(path) if module.startswith("portanet_")], path


@pytest.mark.parametrize(
    "source", ["import numpy", "from portanet import nn", "from portanet.nn import Linear"]
)
def test_the_reader_of_imports_sees(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above would pass on a reader that found nothing; here it must find what was planted."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "CORE", tmp_path / "portanet")
    (tmp_path / "portanet").mkdir()
    planted = tmp_path / "portanet" / "graph.py"
    planted.write_text(f"def late():\n    {source}\n")
    law = test_core_names_no_array_library if "numpy" in source else test_core_imports_run_one_way
    with pytest.raises(AssertionError):
        law(planted)


@pytest.mark.parametrize(
    "path",
    [path for path in sources(CORE) + sources(BACKENDS) if path.stem == "__init__" or path.stem[0] != "_"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_public_face_is_explicit(path: Path) -> None:
    assigned = {
        target.id
        for statement in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign))
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Name)
    }
    assert "__all__" in assigned


@pytest.mark.parametrize(
    "package",
    [
        *("portanet", "portanet.nn", "portanet.nn.functional", "portanet.nn.utils", "portanet.optim"),
        *("portanet.data", "portanet.io", "portanet.metrics", "portanet.plot", "portanet.testing"),
        "portanet.train",
    ],
)
def test_every_public_name_exists_once(package: str) -> None:
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert not [name for name in module.__all__ if not hasattr(module, name)]


SUBMODULES = {
    *("portanet.nn.functional", "portanet.nn.init", "portanet.nn.utils", "portanet.optim.averaging"),
    *("portanet.optim.lr_scheduler", "portanet.nn.utils.fusion", "portanet.nn.utils.parametrizations"),
    *("portanet.io.onnx", "portanet.nn.utils.parametrize", "portanet.nn.utils.rnn"),
}
"""Names that are modules."""
LATE = [
    *("portanet.data", "portanet.io", "portanet.metrics", "portanet.nn", "portanet.nn.functional"),
    *("portanet.nn.utils", "portanet.optim", "portanet.plot", "portanet.train"),
]


@pytest.mark.parametrize("package", LATE)
def test_late_names_are_the_same_in_any_order(package: str) -> None:
    """Loading a module first puts the module into its package, where it must not hide a name."""
    run_python(
        f"""import importlib, pkgutil, types, {package} as package
for found in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"{package}.{{found.name}}")
for name in package.__all__:
    hidden = isinstance(getattr(package, name), types.ModuleType)
    assert not hidden or package.__name__ + "." + name in {sorted(SUBMODULES)}, name
"""
    )


def test_a_late_package_complains_of_unknown_names() -> None:
    for package in LATE:
        with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Conv9d'"):
            importlib.import_module(package).Conv9d  # noqa: B018
        assert "__all__" in dir(importlib.import_module(package))


def test_a_late_package_lets_python_suggest_the_right_name() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", "from portanet import nn; nn.Conv2D"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Did you mean: 'Conv2d'?" in finished.stderr


def run_python(source: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PORTANET"))
        },
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_import_loads_no_array_library_but_numpy() -> None:
    loaded = run_python(
        "import sys; before = set(sys.modules); import portanet; print(*(set(sys.modules) - before))"
    )
    tops = {name.split(".")[0] for name in loaded.split()}
    assert "portanet" in tops
    assert not tops & (ARRAY_LIBRARIES - {"numpy"})
    assert {top for top in tops if not top.startswith("portanet")} - sys.stdlib_module_names <= {"numpy"}


def fenced(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def test_ci_runs_the_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Two commands", 1)[1].split("\n## ", 1)[0]
    told = [block.strip() for block in fenced("sh", section)]
    run = re.findall(r"^ *\((.*)\)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(told) == 2
    assert told == run


def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    examples = fenced("python", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(examples) > 1
    for example in examples:
        run_python(f"import os; os.chdir({str(tmp_path)!r})\n{example}")
    assert (tmp_path / "digits.safetensors").stat().st_size > 0


def test_the_script_of_the_page_on_training_runs(tmp_path: Path) -> None:
    blocks = fenced("python", (ROOT / "docs" / "training.md").read_text(encoding="utf-8"))
    assert len(blocks) > 3
    printed = run_python(f"import os; os.chdir({str(tmp_path)!r})\n" + "".join(blocks))
    assert float(printed.split()[0]) > 0.8  # accuracy on points that it has not seen; guessing gives a half
    assert (tmp_path / "model.safetensors").stat().st_size > 0
