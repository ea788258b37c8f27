"""Benchmarks: ratios against peers and limits of the same run, never absolute promises."""
