"""`python -m benchmarks.soak.mutate --runs 10000`: damage checkpoint files in every way, and see each one refused.

Half of the damage comes as it is: files cut short or made longer, bits and bytes changed, blocks exchanged. The other
half is done by somebody who then makes the checksum right again: lengths, offsets, shapes and data types forged, JSON
that is nested, oversized, or says something else. Each file must be refused with a `CheckpointError`, quickly and
without much memory: the process gives itself a limit, and a file that takes more fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import portanet as pn
from portanet import nn, optim, train
from portanet.errors import CheckpointError
from portanet.io import load_checkpoint, save_checkpoint

__all__ = ["Tally", "main", "soak"]

MEMORY = 512 * 2**20
"""Bytes beyond what the process has when the trial begins."""

SEAL = b'"sha256":"'


# As it comes


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def lengthen(content: bytes, rng: random.Random) -> bytes:
    return content + rng.randbytes(rng.choice((1, 8, 1000)))


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(rng.choice((1, 1, 1, 2, 30))):
        place = rng.randrange(rng.choice((8, header, len(changed))))
        changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    length = rng.choice((1, 16, 512))
    start = rng.randrange(len(changed) - length)
    changed[start : start + length] = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return bytes(changed)


def exchange_blocks(content: bytes, rng: random.Random) -> bytes:
    length = rng.choice((8, 64, 512))
    first = rng.randrange(len(content) - 2 * length)
    second = rng.randrange(first + length, len(content) - length + 1)
    parts = (content[:first], content[second : second + length], content[first + length : second])
    return b"".join((*parts, content[first : first + length], content[second + length :]))


def repeat_or_drop(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) - 64)
    return content[:start] + content[start : start + 64] * rng.choice((0, 2)) + content[start + 64 :]


def forge_length(content: bytes, rng: random.Random) -> bytes:
    real = int.from_bytes(content[:8], "little")
    forged = rng.choice(
        (0, 1, real - 1, real + 1, real * 2, len(content), 2**31, 2**32 + real, 2**63, 2**64 - 1)
    )
    return forged.to_bytes(8, "little") + content[8:]


def something_else(content: bytes, rng: random.Random) -> bytes:
    size = rng.choice((0, 1, 7, 8, 100, 5000))
    return rng.choice(
        (rng.randbytes(size), bytes(size), b"{" * size, b"PK\x03\x04" + bytes(size), b"\x80\x04" * size)
    )


# With a checksum made right


def seal(header: bytes, data: bytes) -> bytes:
    """A file of a header, whose seal is made right if it has one, and of data."""
    content = bytearray(len(header).to_bytes(8, "little") + header + data)
    start = content.find(SEAL, 0, 100) + len(SEAL)
    if start >= len(SEAL) and len(content) >= start + 64:
        content[start : start + 64] = b"0" * 64
        content[start : start + 64] = hashlib.sha256(content).hexdigest().encode()
    return bytes(content)


def opened(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def closed(header: Any, data: bytes) -> bytes:
    return seal(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode(), data)


def entry_of(header: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = header[rng.choice([name for name in header if name != "__metadata__"])]
    return found


def forge_shape(content: bytes, rng: random.Random) -> bytes:
    header, data = opened(content)
    entry = entry_of(header, rng)
    entry["shape"] = rng.choice(
        (
            [2**62, 2],
            [-1],
            [2**40],
            entry["shape"] + [2],
            [1] * 40,
            5,
            None,
            "2",
            [1.5],
            [True, 1],
            [[1]],
            {},
            [10**30],
        )
    )
    return closed(header, data)


def forge_offsets(content: bytes, rng: random.Random) -> bytes:
    header, data = opened(content)
    entry = entry_of(header, rng)
    start, end = entry["data_offsets"]
    step = rng.choice((1, 4, 1000, 2**40, 2**63))
    entry["data_offsets"] = rng.choice(
        (
            [start + step, end + step],
            [start, end + step],
            [end + 1, start],
            [start],
            [-step, end],
            None,
            [0.5, 1],
            "ab",
        )
    )
    return closed(header, data)


def forge_dtype(content: bytes, rng: random.Random) -> bytes:
    header, data = opened(content)
    entry = entry_of(header, rng)
    entry["dtype"] = rng.choice(
        ("F999", "O", "", "I128", 4, None, [], {"F": 32}, "F8", "U8" if entry["shape"] else "F16")
    )
    return closed(header, data)


def forge_entry(content: bytes, rng: random.Random) -> bytes:
    header, data = opened(content)
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    action = rng.randrange(5)
    if action == 0:
        del header[name]
    elif action == 1:
        header[name] = rng.choice((None, 1, [], "x", {}, {**header[name], "more": 1}))
    elif action == 2:
        header[name + "?"] = header.pop(name)
    elif action == 3:
        header["another"] = dict(header[name])
    else:
        shape = rng.choice(([0, 2**62, 2**62], [0], [2**40, 0]))
        header["another"] = {"dtype": "F64", "shape": shape, "data_offsets": [len(data), len(data)]}
    return closed(header, data)


def swap_data(content: bytes, rng: random.Random) -> bytes:
    header, data = opened(content)
    return closed(header, data[: rng.randrange(len(data))] if rng.random() < 0.5 else data + bytes(8))


def nested(rng: random.Random) -> str:
    depth = rng.choice((1_000, 100_000, 1_000_000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ('{"$tuple":[', "]}")))
    return opening * depth + ("1" + closing * depth if rng.random() < 0.5 else "")


def oversized(rng: random.Random) -> str:
    size = rng.choice((100_000, 1_000_000))
    return rng.choice(
        ("[" + "{}," * size + "{}]", "9" * size, '"' + "a" * size, "[" * 10 + "1," * size, "1e" + "9" * 300)
    )


def forge_header(content: bytes, rng: random.Random) -> bytes:
    """Another header altogether, behind the opening that a seal has."""
    _, data = opened(content)
    start = b'{"__metadata__":{"sha256":"' + b"0" * 64 + b'"},"a":'
    body = rng.choice((nested, oversized))(rng)
    return seal(start + body.encode() + rng.choice((b"}", b"")), rng.choice((data, b"")))


def forge_state(content: bytes, rng: random.Random) -> bytes:
    """Another JSON in the metadata."""
    header, data = opened(content)
    metadata = header["__metadata__"]
    text = metadata["state"]
    action = rng.randrange(8)
    if action == 0:
        metadata["state"] = rng.choice((nested, oversized))(rng)
    elif action == 7:
        keys = [k * sys.hash_info.modulus for k in range(rng.choice((100, 100_000)))]
        metadata["state"] = json.dumps({rng.choice(("$items", "$counter")): [[key, 0] for key in keys]})
    elif action == 1:
        metadata["state"] = rng.choice(
            ("", "[]", "null", "1", "{", text[: rng.randrange(len(text))], text + "}")
        )
    elif action == 2:
        metadata["state"] = text.replace(
            '"$tensor"', rng.choice(('"$other"', '"$float"', '"$tuple"', '"tensor"'))
        )
    elif action == 3:
        metadata["state"] = text.replace("model/", rng.choice(("", "../", "model/model/")))
    elif action == 4:
        metadata["format"] = rng.choice(("", "pickle", "portanet.checkpoint.999"))
    elif action == 5:
        del metadata[rng.choice(("format", "state"))]
    else:
        metadata["state"] = re.sub(
            r":\d+\.\d+", rng.choice((":NaN", ":Infinity", ":-Infinity", ":0x1")), text, count=1
        )
    return closed(header, data)


def forge_metadata(content: bytes, rng: random.Random) -> bytes:
    header, data = opened(content)
    header["__metadata__"] = rng.choice(
        (
            None,
            [],
            "text",
            {"sha256": "0" * 64},
            {"sha256": "0" * 64, "state": 1, "format": "portanet.checkpoint.1"},
            {**header["__metadata__"], "more": {}},
            {key: value for key, value in header["__metadata__"].items() if key != "sha256"},
        )
    )
    return closed(header, data)


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(cut, lengthen, flip_bits, overwrite, exchange_blocks, repeat_or_drop, forge_length, something_else),
    *(
        forge_shape,
        forge_offsets,
        forge_dtype,
        forge_entry,
        swap_data,
        forge_header,
        forge_state,
        forge_metadata,
    ),
)


@dataclass
class Tally:
    """What came of the files."""

    refused: Counter[str] = field(default_factory=Counter)
    """By the kind of damage."""
    unchanged: int = 0
    """Mutations that happened to give the file back, byte for byte; they are not counted."""
    wrong: list[str] = field(default_factory=list)
    """Files that were loaded, or refused by another error."""
    slowest: float = 0.0
    """Seconds of processor time for one file, at most."""
    most_memory: int | None = None
    """Bytes that the process grew by at its peak, where the system says."""

    def __str__(self) -> str:
        memory = "unknown" if self.most_memory is None else f"{self.most_memory / 2**20:.0f} MiB"
        return (
            f"{self.refused.total()} files refused, {len(self.wrong)} not as they should be; the slowest took "
            f"{1e3 * self.slowest:.0f} ms of processor time; the process grew by {memory}\n"
            + ", ".join(f"{kind} {count}" for kind, count in self.refused.items())
        )


def sample(folder: Path) -> bytes:
    """A checkpoint of a real run in the middle of an epoch."""
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    data = [(pn.random.normal((4, 6)), pn.random.normal((4, 2))) for _ in range(70)]
    train.fit(
        *(model, nn.MSELoss(), optimizer, data),
        epochs=2,
        scheduler=optim.lr_scheduler.ReduceLROnPlateau(optimizer),
        callbacks=[train.Checkpoints(folder, every_epochs=1)],
    )
    return (folder / "last.safetensors").read_bytes()


def soak(runs: int, seed: int | None = None) -> Tally:
    """Try so many damaged files, as many of each kind."""
    rng = random.Random(seed)
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        good = sample(Path(name))
        folder = Path(name) / "damaged"
        folder.mkdir()
        path = folder / "checkpoint.safetensors"
        for number in range(runs):
            mutate = MUTATIONS[number % len(MUTATIONS)]
            content = mutate(good, rng)
            while content == good:
                tally.unchanged += 1
                content = mutate(good, rng)
            path.write_bytes(content)
            begin = time.process_time()
            try:
                load_checkpoint(path)
            except CheckpointError as error:
                if str(path) not in str(error):
                    tally.wrong.append(f"{mutate.__name__}: refused, but not by name: {error}")
                tally.refused[mutate.__name__] += 1
            except BaseException as error:
                tally.wrong.append(f"{mutate.__name__}: {type(error).__name__}: {error}"[:300])
            else:
                tally.wrong.append(f"{mutate.__name__}: loaded")
            tally.slowest = max(tally.slowest, time.process_time() - begin)
        path.write_bytes(good)
        save_checkpoint(load_checkpoint(path), path)  # the undamaged file is read, and comes out the same
        if path.read_bytes() != good:
            tally.wrong.append("the undamaged file came back otherwise")
    return tally


def limit_memory() -> int | None:
    """Give this process a limit; return the peak of its memory so far, where the system says."""
    try:
        import resource
    except ImportError:
        return None
    size = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        if Path("/proc").exists()
        else 0
    )
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Run the trials; 1 if one of them came out otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak.mutate", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, help="of the damage")
    arguments = parser.parse_args()
    soak(len(MUTATIONS), arguments.seed)  # what imports take does not count
    before = limit_memory()
    tally = soak(arguments.runs, arguments.seed)
    after = limit_memory()
    tally.most_memory = None if before is None or after is None else after - before
    print(tally)
    for line in tally.wrong[:20]:
        print(line, file=sys.stderr)
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
