"""`python -m bench [NAME]`: one benchmark, or all of them."""

import importlib
import sys

NAMES = ("ledger", "asof", "http", "start")

asked = sys.argv[1] if len(sys.argv) > 1 else "all"
if asked != "all" and asked not in NAMES:
    sys.exit(f"{asked} is not a benchmark; use one of {', '.join(NAMES)}")
for name in NAMES if asked == "all" else (asked,):
    print(f"== {name}")
    importlib.import_module(f"bench.{name}").main()
