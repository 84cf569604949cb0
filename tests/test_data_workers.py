"""Workers of the DataLoader: the same batches as without, errors that arrive, and nothing left behind."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.data import DataLoader, Sampler, TensorDataset
from portanet.errors import DataError, OptionError, WorkerError
from portanet.random import Generator
from tests import worker_datasets
from tests.worker_datasets import Forms, GloballyNoisy, Nested, Noisy, Numbers, Unloadable

KINDS = ["threads", "processes"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")


def soak_module() -> Any:
    from benchmarks.soak import loader

    return loader


def plain(value: Any) -> Any:
    """A batch with numbers instead of arrays, which can be compared."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    return (value.dtype.name, value.tolist()) if hasattr(value, "tolist") else value


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """The test must leave as many processes, threads, files and pieces of shared memory as there were."""
    soak = soak_module()
    list(DataLoader(Numbers(1), num_workers=1, workers="processes"))  # starts Python's resource tracker
    before = soak.holdings()
    yield
    assert not soak.leaks(before)


# The same batches


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_batches_as_without_workers(backend: str, kind: str) -> None:
    """Bit for bit, in the same order, for two epochs, with what the samples draw."""

    def epochs(**options: Any) -> Any:
        loader = DataLoader(Noisy(23), 4, True, generator=Generator(5), **options)
        return [[plain(batch) for batch in loader] for _ in range(2)]

    expected = epochs()
    assert expected[0] != expected[1]
    assert len({noise for batch in expected[0] for noise in batch[2][1]}) == 23
    assert (
        epochs(num_workers=3, workers=kind, prefetch_factor=1, persistent_workers=kind == "processes")
        == expected
    )
    if kind == "threads":
        for workers in (1, 2, 7, 40):
            assert epochs(num_workers=workers) == expected
    with pn.use_backend("numpy"):
        assert epochs() == expected


def test_draws_of_samples_leave_the_default_generator_alone() -> None:
    """But for the one stream of each epoch: what else a program draws does not depend on its datasets."""
    states = []
    for options in ({}, {"num_workers": 2}):
        pn.manual_seed(3)
        loader = DataLoader(Noisy(6), 2, **options)  # type: ignore[arg-type]
        assert len({noise for batch in loader for noise in batch[2].tolist()}) == 6
        states.append(pn.random.default_generator.get_state())
    assert states == [{"seed": 3, "draws": 1}] * 2
    list(DataLoader(TensorDataset(np.arange(6)), 2, num_workers=2))
    assert pn.random.default_generator.get_state() == states[0]


def test_processes_seed_the_global_generators_by_batch() -> None:
    def epoch(workers: int) -> Any:
        loader = DataLoader(
            GloballyNoisy(8), 2, generator=Generator(1), num_workers=workers, workers="processes"
        )
        return [plain(batch) for batch in loader]

    one = epoch(1)
    assert epoch(2) == one
    assert len({noise for batch in one for noise in (*batch[0][1], *batch[1][1])}) == 16


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_all_forms_arrive_as_tensors_of_the_backend_in_use(backend: str, kind: str) -> None:
    expected = [plain(batch) for batch in DataLoader(Forms(5), 2)]
    loader = DataLoader(Forms(5), 2, num_workers=2, workers=kind, generator=Generator(0))
    batches = list(loader)
    assert [plain(batch) for batch in batches] == expected
    for batch in batches:
        assert {batch[name].device.backend for name in ("tensor", "array", "transposed", "large")} == {
            backend
        }
        batch["large"] += 1  # it is ours to write to


def test_tensors_of_a_backend_reach_processes(backend: str, rng: Any) -> None:
    x = rng.normal(size=(6, 3)).astype("float32")
    dataset = TensorDataset(pn.asarray(x), x)
    loader = DataLoader(dataset, 2, True, num_workers=1, workers="processes", generator=Generator(8))
    order = pn.random.permutation(6, generator=Generator(8)).numpy()
    for number, batch in enumerate(loader):
        for part in batch:
            assert part.device.backend == backend
            np.testing.assert_array_equal(part.numpy(), x[order[2 * number : 2 * number + 2]])


def test_collate_fn_runs_in_the_worker() -> None:
    batches = list(
        DataLoader(
            Numbers(4, 0, worker_datasets.process_number),
            2,
            collate_fn=worker_datasets.raw_array,
            num_workers=1,
            workers="processes",
        )
    )
    assert [type(batch) for batch in batches] == [np.ndarray] * 2
    assert batches[0][0] != os.getpid()
    batches[1][0] = 7
    threads = []

    def collate(samples: list[Any]) -> list[Any]:
        threads.append(threading.current_thread())
        return samples

    assert list(DataLoader(Numbers(4), 2, collate_fn=collate, num_workers=1)) == [[0, 1], [2, 3]]
    assert threading.current_thread() not in threads


# Samplers and positions


def test_iterate_skips_without_loading(backend: str) -> None:
    asked = []

    class Watched(Noisy):
        def __getitem__(self, index: int) -> Any:
            asked.append(index)
            return super().__getitem__(index)

    for options in ({}, {"num_workers": 2}):
        generator = Generator(2)
        loader = DataLoader(Watched(11), 3, True, generator=generator, **options)  # type: ignore[arg-type]
        whole = [plain(batch) for batch in loader]
        for skip in range(6):
            generator.manual_seed(2)
            asked.clear()
            assert [plain(batch) for batch in loader.iterate(skip)] == whole[skip:]
            assert sorted(asked) == sorted(number for batch in whole[skip:] for number in batch[0][1])
            assert generator.get_state()["draws"] == 1
    with pytest.raises(OptionError, match="skip: expected a whole number of at least 0, got -1"):
        loader.iterate(-1)


class Drawing(Sampler):
    """A sampler that draws on the way."""

    def __len__(self) -> int:
        return 9

    def __iter__(self) -> Iterator[int]:
        return (int(pn.random.integers(0, 9, ()).item()) for _ in range(9))


class DrawingBatches:
    """Batches that are drawn on the way."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[list[int]]:
        return ([int(pn.random.integers(0, 9, ()).item())] * (number + 1) for number in range(3))


def test_samplers_that_draw_on_the_way_do_not_depend_on_workers() -> None:
    for options in ({"sampler": Drawing(), "batch_size": 2}, {"batch_sampler": DrawingBatches()}):
        orders = []
        for workers in (0, 1, 3):
            loader = DataLoader(Noisy(9), generator=Generator(4), num_workers=workers, **options)  # type: ignore[arg-type]
            orders.append([])
            for batch in loader:
                pn.random.uniform(2)  # what the loop draws meanwhile
                orders[-1].append(plain(batch))
        assert orders[0] == orders[1] == orders[2]
        assert len({str(batch) for batch in orders[0]}) == len(loader)


def test_an_error_of_a_sampler_comes_after_the_batches_before_it() -> None:
    def numbers() -> Iterator[int]:
        yield from range(5)
        raise KeyError("no more")

    class Broken(Sampler):
        def __len__(self) -> int:
            return 9

        def __iter__(self) -> Iterator[int]:
            return numbers()

    for workers in (0, 2):
        came = []
        with pytest.raises(KeyError, match="no more"):  # noqa: PT012
            for batch in DataLoader(Numbers(9), 2, sampler=Broken(), num_workers=workers, prefetch_factor=4):
                came.append(batch.tolist())
        assert came == [[0, 1], [2, 3]]


# How far ahead


@pytest.mark.parametrize(("workers", "factor"), [(1, 1), (2, 1), (2, 3)])
def test_prefetching_is_bounded(workers: int, factor: int) -> None:
    """No more than so many batches are made ahead of the loop, and so many are."""
    made: SimpleQueue[int] = SimpleQueue()

    class Watched(Numbers):
        def __getitem__(self, index: int) -> Any:
            made.put(index)
            return index

    epoch = iter(DataLoader(Watched(40), num_workers=workers, prefetch_factor=factor))
    for taken in range(1, 4):
        next(epoch)
        if taken == 1:
            ahead = [made.get(timeout=30) for _ in range(1 + workers * factor)]
        else:
            ahead.append(made.get(timeout=30))
        assert max(ahead) == taken - 1 + workers * factor
    epoch.close()  # type: ignore[attr-defined]
    assert made.empty()


def test_nothing_starts_before_the_first_batch() -> None:
    before = threading.active_count()
    epoch = iter(DataLoader(Numbers(4), num_workers=2))
    assert threading.active_count() == before
    next(epoch)
    assert threading.active_count() == before + 2
    epoch.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


# Errors


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_in_a_worker_arrives_with_its_traceback(kind: str, nothing_left: None) -> None:
    loader = DataLoader(Numbers(12, 7, worker_datasets.divide), 2, num_workers=3, workers=kind)
    came = []
    with pytest.raises(ZeroDivisionError) as caught:  # noqa: PT012
        for batch in loader:
            came.append(batch.tolist())
    assert came == [[0, 1], [2, 3], [4, 5]]
    told = "".join(traceback.format_exception(caught.value))
    assert "in divide" in told
    assert "1 / 0" in told
    assert "batch 3" in told
    assert "worker process" in told if kind == "processes" else "worker thread" in told


@pytest.mark.parametrize("deed", ["fail_with_two", "unsendable"])
def test_what_cannot_be_sent_is_told_in_words(deed: str) -> None:
    loader = DataLoader(
        Numbers(2, 1, getattr(worker_datasets, deed)),
        collate_fn=worker_datasets.as_list,
        num_workers=1,
        workers="processes",
    )
    with pytest.raises(
        (WorkerError, TypeError), match="1 and 2" if deed == "fail_with_two" else "pickle"
    ) as caught:
        list(loader)
    assert "batch 1" in "".join(traceback.format_exception(caught.value))


def test_a_dataset_that_cannot_be_sent_is_refused_at_once() -> None:
    loader = DataLoader(Numbers(3, 0, lambda: 0), num_workers=2, workers="processes")
    with pytest.raises(
        OptionError, match=r"workers: .* cannot be sent to a process .*use\s+workers='threads'"
    ):
        next(iter(loader))
    loader = DataLoader(Unloadable(3), num_workers=1, workers="processes")
    with pytest.raises(
        OptionError,
        match=r"workers: .* cannot be made again in a process \(RuntimeError: not here\)\. Define .* a notebook",
    ):
        next(iter(loader))


def test_loaders_within_workers() -> None:
    expected = [[[0, 1], [2, 3]]] * 2
    for outer in KINDS:
        for inner in KINDS:
            options = {"num_workers": 1, "workers": outer, "collate_fn": worker_datasets.as_list}
            loader = DataLoader(Nested(2, inner), **options)  # type: ignore[arg-type]
            if outer == inner == "processes":
                with pytest.raises(
                    OptionError, match="workers: a daemonic process.* Use workers='threads' in it"
                ):
                    list(loader)
            else:
                assert [sample for batch in loader for sample in batch] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_wants_to_exit(kind: str) -> None:
    loader = DataLoader(Numbers(3, 1, worker_datasets.leave), num_workers=1, workers=kind)
    epoch = iter(loader)
    next(epoch)
    with pytest.raises(SystemExit):
        next(epoch)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_hangs_is_noticed_in_time(kind: str) -> None:
    free = threading.Event()
    deed = worker_datasets.hang if kind == "processes" else free.wait
    loader = DataLoader(
        Numbers(4, 1, deed), num_workers=1, workers=kind, timeout=0.2, persistent_workers=True
    )
    with pytest.raises(WorkerError, match=r"timeout: batch 1 did not come within 0\.2 seconds"):
        next(loader.iterate(1))
    free.set()
    loader.timeout = 0.0
    assert [batch.tolist() for batch in loader.iterate(2)] == [[2], [3]]
    loader.close()


@linux
def test_a_killed_worker_is_an_error_and_the_next_epoch_goes_on(nothing_left: None) -> None:
    loader = DataLoader(
        Numbers(9, 4, worker_datasets.die), num_workers=2, workers="processes", persistent_workers=True
    )
    came = []
    with pytest.raises(WorkerError, match=r"ended by SIGKILL in the making of batch 4.*memory"):  # noqa: PT012
        for batch in loader:
            came.append(batch.item())
    assert came == [0, 1, 2, 3]
    assert [batch.item() for batch in loader.iterate(5)] == [5, 6, 7, 8]
    loader.close()


# Ends


@linux
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_end_an_epoch_leaves_nothing(kind: str, nothing_left: None) -> None:
    def leave(loader: Any) -> None:
        for _ in loader:
            break

    def drop(loader: Any) -> None:
        epoch = iter(loader)
        next(epoch)
        cycle = [epoch]
        cycle.append(cycle)
        del epoch, cycle
        gc.collect()

    def interrupt(loader: Any) -> None:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            for _ in loader:
                signal.raise_signal(signal.SIGINT)

    ways: list[Callable[[Any], None]] = [leave, drop, interrupt]
    soak = soak_module()
    for way in ways if kind == "threads" else [leave]:
        before = soak.holdings()
        way(DataLoader(Numbers(30), num_workers=2, workers=kind))
        assert not soak.leaks(before), way


@linux
def test_a_loader_that_is_dropped_takes_its_persistent_workers_along(nothing_left: None) -> None:
    soak = soak_module()
    for kind in KINDS:
        before = soak.holdings()
        loader = DataLoader(Numbers(3), num_workers=1, workers=kind, persistent_workers=True)
        for _ in range(3):
            assert [batch.item() for batch in loader] == [0, 1, 2]
            kept = soak.holdings()
            assert kept.threads == before.threads + 1
            assert kept.processes == before.processes + (kind == "processes")
        for _ in loader:
            break
        assert [a.item() + b.item() for a, b in zip(loader, loader, strict=True)] == [0, 2, 4]
        del loader
        gc.collect()
        assert not soak.leaks(before)


def test_workers_that_were_stopped_are_forgotten() -> None:
    """Or a loader that is closed after each epoch would keep every pool, with the dataset as it was sent."""
    loader = DataLoader(Numbers(3), num_workers=1, persistent_workers=True)
    pools = []
    for _ in range(3):
        list(loader)
        assert loader._pool is not None
        pools.append(weakref.ref(loader._pool))
        loader.close()
    gc.collect()
    assert [pool() for pool in pools] == [None, None, None]


def test_an_iterator_that_another_thread_finishes() -> None:
    epoch = iter(DataLoader(Numbers(6), num_workers=2))
    came = [next(epoch).item()]
    thread = threading.Thread(target=lambda: came.extend(batch.item() for batch in epoch))
    thread.start()
    thread.join()
    assert came == [0, 1, 2, 3, 4, 5]


def test_a_loader_with_workers_can_be_copied_and_sent() -> None:
    loader = DataLoader(Numbers(4), 2, num_workers=2, persistent_workers=True)
    list(loader)
    for twin in (copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))):
        assert [batch.tolist() for batch in twin] == [[0, 1], [2, 3]]
        twin.close()
    loader.close()


SCRIPT = """
    import os, sys
    import portanet as pn
    from portanet.data import DataLoader
    from tests.worker_datasets import Numbers, hang, process_number
    if __name__ == "__main__":
        options = dict(num_workers=2, workers={kind!r}, persistent_workers={persistent})
        loader = DataLoader(Numbers(50, {strange}, {deed}), **options)
        epoch = iter(loader)
        next(epoch)
        import multiprocessing
        print(*[process.pid for process in multiprocessing.active_children()], flush=True)
        {then}
"""


def started(tmp_path: Path, kind: str, then: str, persistent: bool = False, **strange: Any) -> Any:
    script = tmp_path / "script.py"
    values = {"strange": -1, "deed": None, "kind": kind, "persistent": persistent, "then": then, **strange}
    script.write_text(textwrap.dedent(SCRIPT).format(**values))
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root), str(root / "backends")])
    return subprocess.Popen(
        [sys.executable, "-X", "dev", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
    )


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried by another process does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_gone(pids: list[int], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    for pid in pids:
        with suppress(ProcessLookupError):
            watched = os.pidfd_open(pid)
            ended, _, _ = select.select([watched], [], [], max(deadline - time.monotonic(), 0))
            os.close(watched)
            if not ended:
                return False
    return not any(map(alive, pids))


@linux
@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGINT"])
def test_processes_end_with_the_one_that_started_them(tmp_path: Path, signal_name: str) -> None:
    """Killed without notice, while one worker hangs in its dataset; or by Ctrl-C, which reaches all of them."""
    main = started(tmp_path, "processes", "list(epoch)", strange=3, deed="hang")
    pids = [int(pid) for pid in main.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(alive, pids))
    if signal_name == "SIGKILL":
        main.kill()
    else:
        os.killpg(main.pid, signal.SIGINT)
    _, errors = main.communicate(timeout=60)
    assert all_gone(pids)
    assert main.returncode == -getattr(signal, signal_name)
    if signal_name == "SIGINT":
        assert errors.count("KeyboardInterrupt") == 1, errors


@linux
@pytest.mark.parametrize("kind", KINDS)
def test_a_forked_process_leaves_the_workers_alone(tmp_path: Path, kind: str) -> None:
    """It has none of its own: it must not wait for those of the first one, nor stop them, and may start others."""
    then = "from tests.worker_datasets import go_on_in_a_fork; go_on_in_a_fork(loader, epoch)"
    main = started(tmp_path, kind, then, persistent=True)
    out, errors = main.communicate(timeout=120)
    _, refused, begun, rest = out.splitlines()
    assert refused.startswith(
        "The workers of this epoch belong to the process that this one was forked from."
    ), errors
    assert (begun, rest) == ("[46, 47, 48, 49]", "0 49")
    assert main.returncode == 0


@linux
def test_a_program_may_end_in_the_midst_of_an_epoch(tmp_path: Path) -> None:
    for kind in KINDS:
        main = started(tmp_path, kind, "pass", persistent=kind == "processes")
        out, errors = main.communicate(timeout=60)
        assert (main.returncode, errors) == (0, "")
        assert all_gone([int(pid) for pid in out.split()])


def test_a_program_may_end_while_a_thread_hangs(tmp_path: Path) -> None:
    main = started(tmp_path, "threads", "epoch.gi_frame", strange=1, deed="hang", persistent=True)
    _, errors = main.communicate(timeout=60)
    assert (main.returncode, errors) == (0, "")


@linux
def test_soak(rng: Any) -> None:
    soak = soak_module()
    counts = soak.soak(30, 4, ["threads"], int(rng.integers(2**32)))
    assert counts.total() == 30
    assert soak.soak(2, 2, ["processes"], int(rng.integers(2**32))).total() == 2


@linux
def test_a_leak_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soak must fail when workers are not stopped, and what it counts must count."""
    from portanet.data.workers import Pool

    soak = soak_module()
    list(DataLoader(Numbers(1), num_workers=1, workers="processes"))
    before = soak.holdings()
    segment = SharedMemory(create=True, size=8)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    more = soak.leaks(before)
    assert more.pop("files") >= 2  # the segment and the pipe
    assert more == {"shared_memory": 1, "processes": 1}
    process.communicate()
    segment.close()
    segment.unlink()
    assert not soak.leaks(before)
    stopped = Pool.stop
    kept: list[Any] = []
    monkeypatch.setattr(Pool, "stop", lambda pool, **options: kept.append(pool))
    monkeypatch.setattr(soak.leaks, "__defaults__", (0.2,))
    with pytest.raises(AssertionError, match=r"run 0 \(threads, .*\) left"):
        soak.soak(1, 2, ["threads"], 1)
    for pool in kept:
        stopped(pool)


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers: expected a whole number of at least 0, got -1"),
        ({"num_workers": 1.5}, "num_workers: expected a whole number"),
        ({"workers": "fibres"}, "workers: expected 'threads' or 'processes', got 'fibres'"),
        ({"prefetch_factor": 0}, "prefetch_factor: expected a whole number of at least 1, got 0"),
        ({"timeout": -1.0}, "timeout: expected a finite number of at least 0"),
        ({"timeout": float("nan")}, "timeout: expected a finite number of at least 0"),
        ({"timeout": 1e12}, "timeout: expected a finite number of at least 0 and at most"),
        ({"sampler": [0], "shuffle": True}, "sampler: it decides the order, so leave out shuffle=True"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler: it decides what a batch holds"),
        ({"batch_sampler": [[0]], "drop_last": True}, "batch_sampler: it decides what a batch holds"),
        ({"batch_sampler": [[0]], "sampler": [0]}, "batch_sampler: it decides what a batch holds"),
        ({"sampler": 3}, "sampler: expected something to iterate over, got int"),
        ({"sampler": iter([0])}, "sampler: .* in each epoch, got list_iterator, which is used up after one"),
    ],
)
def test_options_that_make_no_sense(options: Any, message: str) -> None:
    with pytest.raises((OptionError, TypeError), match=message):
        DataLoader(Numbers(3), **options)


def test_samples_out_of_range_are_errors_with_workers_too() -> None:
    for workers in (0, 2):
        with pytest.raises(IndexError):
            list(DataLoader(TensorDataset(np.arange(3)), sampler=[0, 7], num_workers=workers))
        with pytest.raises(OptionError, match="sampler or batch_sampler: expected whole numbers in one row"):
            list(DataLoader(TensorDataset(np.arange(3)), batch_sampler=[["a"]], num_workers=workers))
        with pytest.raises(DataError, match="collate"):
            list(DataLoader(Numbers(2, 1, object), 2, num_workers=workers))
