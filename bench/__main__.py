"""`python -m bench [NAME]`: one benchmark, or all of them."""

import importlib
import sys

NAMES = ("ledger", "asof", "http", "start", "depletion")
ALONE = ("backtest", "forecast", "fleet")
"""Only when asked by name: they need data, a peer, or two cores, that are not always here."""

asked = sys.argv[1] if len(sys.argv) > 1 else "all"
if asked != "all" and asked not in NAMES + ALONE:
    sys.exit(f"{asked} is not a benchmark; use one of {', '.join(NAMES + ALONE)}")
for name in NAMES if asked == "all" else (asked,):
    print(f"== {name}")
    importlib.import_module(f"bench.{name}").main()
