"""Arithmetic of a dated reserve: arrays in, numbers out.

This room knows arrays, whole days and units. It knows no database, no clock, no item codes and no files; whoever calls
it turns dates into day numbers first (day 0 is the day of the assessment) and turns the answers back.

Axis letters, the same in every docstring: **N** series (one a location or item), **L** lots, **S** paths, **H** days of
the horizon, **T** days of history. Arrays are ordered series, then paths, then days: the last axis is always time.

Units: quantities are whole base units; rates are units/day; a lot's life is the number of whole days on which it may
still be issued, counted from day 0 (1 = today only, 0 = already expired). What the rule is judged by is exact
(`int`, `fractions.Fraction`); what is simulated is float64.

Reading order: `exact` (what counts as an exact number), `windows` (exact sums and means over days), `peak` (what is the
highest use seen?), `depletion` (how long do dated lots last at that use?), `paths` (and along any other? `expiries` and
`many` are its other ways: expiry day by expiry day, and many series at once), `demand` (what will be asked for?),
`scoring` (and how well did that hold?).
"""
