"""Teach a small GPT to write, one character after another; unless told otherwise it reads Python's standard library.

    python examples/char_gpt.py
    python examples/char_gpt.py --text my_novel.txt --epochs 100 --temperature 0.6

A GPT is a Transformer that looks back only, and says which character may come next. This one is put together from
nn's embedding, attention and linear layers. The last tenth of every file is held out: the model's loss on it stands
beside that of guessing by how often each character, and each pair of characters, occurs. The script prints what the
model writes before and after its training, and draws the loss.
"""

from __future__ import annotations

import argparse
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import read_options

import portanet as pn
from portanet import nn, optim, plot
from portanet.data import DataLoader, Dataset, RandomSampler, Subset
from portanet.train import ProgressBar, SchedulerEachUpdate, evaluate, fit

MODULES = ("argparse", "calendar", "difflib", "optparse", "shutil", "statistics", "tarfile", "typing")
"""The modules of the standard library that are read unless a text is named."""

CONTEXT = 64  # how many characters the model sees at once
BATCH = 16
UPDATES = 25  # in one epoch
PROMPT = "\n    def "
PROMISE = 2.0  # nats: the loss on held-out parts of MODULES falls below this within 16 epochs


class Block(nn.Module):
    """Attention to the characters before, then a small network for each; both add to what comes in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.network_norm = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, x: pn.Tensor, mask: pn.Tensor, cache: nn.KeyValueCache | None) -> pn.Tensor:
        y = self.attention_norm(x)
        whole = cache is None  # then the mask is the usual one, and attention need not look at it
        x = x + self.attention(y, y, y, None, False, mask, is_causal=whole, cache=cache)[0]
        return x + self.network(self.network_norm(x))


class GPT(nn.Module):
    """Numbers of characters, (batch, positions), to logits of what follows each, (batch, positions, characters)."""

    def __init__(self, characters: int, width: int = 96, heads: int = 4, blocks: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        nn.init.normal_(self.embedding.weight, std=0.5)  # so that the positions are heard as well
        self.positions = nn.SinusoidalPositions(width, max_length=CONTEXT)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, characters)
        # True where not to look: row i is a position, and what comes after it is hidden from it.
        hidden = pn.triu(pn.ones((CONTEXT, CONTEXT), dtype=pn.bool), k=1)
        self.register_buffer("hidden", hidden, persistent=False)

    def forward(self, text: pn.Tensor, caches: Sequence[nn.KeyValueCache] | None = None) -> pn.Tensor:
        """Say what may follow each character; with caches, ``text`` goes on where they end."""
        start = len(caches[0]) if caches else 0
        end = start + text.shape[1]
        x = self.positions(self.embedding(text), offset=start)
        for k, block in enumerate(self.blocks):
            x = block(x, self.hidden[start:end, :end], caches[k] if caches else None)
        return self.output(self.norm(x))


class Text(NamedTuple):
    """A text as numbers: character ``alphabet[k]`` is k."""

    alphabet: str
    training: np.ndarray
    held_out: np.ndarray

    def numbers(self, text: str) -> list[int]:
        return [self.alphabet.index(character) for character in text if character in self.alphabet]

    def characters(self, numbers: Sequence[int]) -> str:
        return "".join(self.alphabet[number] for number in numbers)


def read(files: Sequence[Path]) -> Text:
    """Read the files, and hold out the last tenth of each."""
    texts = [file.read_text(encoding="utf-8") for file in files]
    alphabet = "".join(sorted(set("".join(texts))))
    number = {character: k for k, character in enumerate(alphabet)}
    parts: tuple[list[int], list[int]] = ([], [])
    for text in texts:
        numbers, cut = [number[character] for character in text], len(text) * 9 // 10
        parts[0].extend(numbers[:cut])
        parts[1].extend(numbers[cut:])
    return Text(alphabet, *(np.array(part) for part in parts))


class Stretches(Dataset):
    """Every stretch of CONTEXT characters of a text, and the same one character later: what the model shall say."""

    draws = False  # nothing here is random

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers) - CONTEXT

    def batch(self, indices: np.ndarray) -> tuple[pn.Tensor, pn.Tensor]:
        stretches = self.numbers[indices[:, None] + np.arange(CONTEXT + 1)]
        return pn.asarray(stretches[:, :-1]), pn.asarray(stretches[:, 1:])


def loss_fn(logits: pn.Tensor, following: pn.Tensor) -> pn.Tensor:
    """Cross entropy of all positions, in nats a character."""
    return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), following.reshape(-1))


def train(model: GPT, numbers: np.ndarray, epochs: int) -> list[float]:
    """Train the model on random stretches of the text; return the loss of every update."""
    optimizer = optim.AdamW(model.parameters(), lr=0.008, weight_decay=0.1)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.008, total_steps=epochs * UPDATES, pct_start=0.2
    )
    stretches = Stretches(numbers)
    sampler = RandomSampler(stretches, replacement=True, num_samples=BATCH * UPDATES)
    batches = DataLoader(stretches, BATCH, sampler=sampler)
    callbacks = [ProgressBar(), SchedulerEachUpdate(schedule)]
    return fit(model, loss_fn, optimizer, batches, epochs=epochs, callbacks=callbacks).losses


def test(model: GPT, numbers: np.ndarray) -> float:
    """Mean loss on the whole text, cut into stretches."""
    stretches = Stretches(numbers)
    apart = Subset(stretches, range(0, len(stretches), CONTEXT))
    return evaluate(model, DataLoader(apart, 64), loss_fn)["loss"]


def loss_of_counting(text: Text) -> tuple[float, float]:
    """Nats a character on the held-out text, guessed from counts of characters, and of pairs of them."""
    size = len(text.alphabet)
    single = np.bincount(text.training, minlength=size) + 1.0  # one more: no character is impossible
    pairs = np.bincount(text.training[:-1] * size + text.training[1:], minlength=size**2) + 1.0
    pairs = pairs.reshape(size, size)
    before, after = text.held_out[:-1], text.held_out[1:]
    by_character = -np.log(single[after] / single.sum()).mean()
    by_pair = -np.log(pairs[before, after] / pairs[before].sum(axis=1)).mean()
    return float(by_character), float(by_pair)


def write(model: GPT, prompt: Sequence[int], count: int, temperature: float) -> list[int]:
    """Continue the prompt: draw a character from what the model expects, show it to the model, and so on.

    Keys and values of all positions stay in caches, so that each character goes through the model once.
    """
    text, unread = list(prompt), list(prompt)
    caches = [nn.KeyValueCache() for _ in model.blocks]
    for _ in range(count):
        if len(caches[0]) + len(unread) > CONTEXT:  # full: go on from the latest half
            for cache in caches:
                cache.clear()
            unread = text[-CONTEXT // 2 :]
        with pn.no_grad():
            logits = model(pn.asarray([unread]), caches)[0, -1, :]
            chosen = pn.random.categorical(logits / temperature) if temperature > 0 else pn.argmax(logits)
            unread = [int(chosen)]
        text += unread
    return text[len(prompt) :]


def draw(losses: Sequence[float], held_out: float, by_character: float, by_pair: float, folder: Path) -> None:
    """Draw how the loss fell, and what counting would reach."""
    ax = plot.loss_curve(
        losses,
        average=UPDATES,
        levels={
            "characters counted": by_character,
            "pairs counted": by_pair,
            "the GPT on held-out text": held_out,
        },
        ylabel="cross entropy (nats a character)",
        title="A GPT learns to write",
    )
    print(f"picture: {plot.save(ax, folder / 'loss.png')}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this example can be told beside what all can."""
    parser.add_argument(
        "--text", type=Path, help="a file in UTF-8 to learn from (default: Python's own library)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.7,
        help="of the written samples: 0 always takes the likeliest character, 1 draws as the model expects "
        "(default 0.7)",
    )
    parser.add_argument("--length", type=int, default=320, help="characters of a sample (default 320)")


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Read the text."""
    if options.length < 1:
        parser.error(f"--length must be at least 1, got {options.length}")
    if not 0 <= options.temperature < float("inf"):
        parser.error(f"--temperature must be a finite number of at least 0, got {options.temperature}")
    library = Path(sysconfig.get_path("stdlib"))
    files = [library / f"{name}.py" for name in MODULES] if options.text is None else [options.text]
    try:
        options.text = read(files)
    except OSError as error:
        parser.error(f"{error}. Name another file with --text")
    except UnicodeDecodeError as error:
        parser.error(f"--text: {files[0]} is not in UTF-8: {error}")
    count = len(options.text.training) + len(options.text.held_out)
    if len(options.text.held_out) <= CONTEXT:
        parser.error(f"--text: expected more than {10 * CONTEXT} characters, got {count}")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train, test and write; return the losses, the loss on held-out text, those of counting, and the samples."""
    options = read_options(
        arguments,
        "Teach a small GPT to write, one character after another.",
        epochs=48,
        epochs_help=f"of {UPDATES} updates each",
        output="pictures/char_gpt",
        more=add_options,
        check=check_options,
    )
    text = options.text
    print(
        f"{len(text.training):,} characters to learn from, {len(text.held_out):,} held out, "
        f"{len(text.alphabet)} different ones"
    )
    model = GPT(len(text.alphabet))
    print(f"a GPT of {sum(parameter.size for parameter in model.parameters()):,} parameters")
    prompt = text.numbers(PROMPT) or [0]
    samples = []

    def show(when: str) -> None:
        written = text.characters(write(model, prompt, options.length, options.temperature))
        samples.append(written)
        lines = (text.characters(prompt) + written).strip("\n").split("\n")
        print(f"\nwhat it writes {when} training:\n" + "\n".join(f"  | {line}" for line in lines) + "\n")

    show("before")
    losses = train(model, text.training, options.epochs)
    show("after")

    held_out = test(model, text.held_out)
    by_character, by_pair = loss_of_counting(text)
    print("nats a character on the held-out text (e to this power: among how many it hesitates)")
    for who, loss in (
        ("counting characters", by_character),
        ("counting pairs", by_pair),
        ("the GPT", held_out),
    ):
        print(f"  {who:20} {loss:.3f}   {np.exp(loss):5.1f}")
    draw(losses, held_out, by_character, by_pair, options.output)
    return {
        "losses": losses,
        "held out": held_out,
        "by character": by_character,
        "by pair": by_pair,
        "samples": samples,
    }


if __name__ == "__main__":
    main()
