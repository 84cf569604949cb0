"""Long trials of what must never fail: `python -m benchmarks.soak.NAME --runs N`."""
