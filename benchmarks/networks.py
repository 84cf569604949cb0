"""The larger models, written once: PyTorch and portanet build them from their own `nn` by the same lines."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import NetworkTraining

__all__ = ["make_network", "mean_loss"]


def make_network(nn: Any, workload: NetworkTraining) -> Any:
    """Build the model of `workload` from the modules of `nn`, which is `torch.nn` or `portanet.nn`."""
    return gpt(nn, workload) if workload.heads else cnn(nn, workload)


def cnn(nn: Any, workload: NetworkTraining) -> Any:
    """Two convolutions with ReLU and max-pooling, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, workload.outputs),
    )


def gpt(nn: Any, workload: NetworkTraining) -> Any:
    """A decoder-only Transformer with learned positions, normalised before each part, as GPT-2 is."""
    (context,), heads = workload.inputs, workload.heads
    width = workload.shapes["norm.weight"][0]

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width)
            self.projection = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width)
            self.up = nn.Linear(width, 4 * width)
            self.gelu = nn.GELU(approximate="tanh")
            self.down = nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            batch, length = x.shape[:2]
            qkv = self.qkv(self.norm1(x)).reshape((batch, length, 3, heads, width // heads))
            query, key, value = (qkv[:, :, part].permute(0, 2, 1, 3) for part in range(3))
            seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + self.projection(seen.permute(0, 2, 1, 3).reshape((batch, length, width)))
            return x + self.down(self.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(workload.outputs, width)
            self.position = nn.Embedding(context, width)
            self.blocks = nn.ModuleList([Block() for _ in range(workload.layers)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, workload.outputs)

        def forward(self, tokens: Any) -> Any:
            x = self.token(tokens) + self.position.weight
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return GPT()


def mean_loss(nn: Any, logits: Any, targets: Any) -> Any:
    """Return the mean cross entropy; `targets` has one class for each row of `logits`, whatever axes these have."""
    return nn.functional.cross_entropy(logits.reshape((-1, logits.shape[-1])), targets)
