"""Measure evq beside what it is compared with: `python -m benchmarks`, explained in README.md."""
