"""The demonstration city: its catalogue, places and rules as content, and a year of it made from one seed number.

Nothing here knows a database or a clock. `catalogue`, `places`, `policies` and `norms` are tables to read; `year` makes
the rest: `consumption` (with the wave of `outbreak`) says what was used, `lots` what lies there so that each row tells
its story, `ledger` how it came and left. Randomness is `chance`, the same on every machine.
"""
