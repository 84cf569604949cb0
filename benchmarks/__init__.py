"""Side-by-side timings: hand-written NumPy, portanet on NumPy, and PyTorch, in one run. See README.md."""
