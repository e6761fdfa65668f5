"""Benchmarks anyone can run: `make bench`, or `make bench NAME=ledger`.

Each makes its own data, runs ours and a named peer in the same run in turns, checks that both did the same work, and
prints medians and ratios. Times drift with the machine; the ratios are what to compare.
"""
