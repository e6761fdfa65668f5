"""The inventory domain of a city's strategic reserve, and its database.

Nouns: an *item* (one base unit) lies as *lots* (a lot number, a last usable day) at *locations*; a location with
everything below it is a *scope*. A *document* records *movements* of a lot from a source to a target, all or nothing;
a *balance* is what the movements of one lot at one location sum to. Daily *consumption* gives the *peak*; dated stock
at the peak gives *coverage*; a *policy* says how many days are required; a change of *level* raises an *alert* and
one *notice* a receiver. A *transfer* is on the road between two places; a *count* compares a place with its books; a
*requisition* is promised lots; a *hold* stops a lot everywhere. The *journal* keeps what is not a movement, and *seals*
pin both.

The invariant: every movement has two ends, so stock is neither made nor lost; a balance is the sum in minus the sum
out and never below zero at any moment of its history; nothing recorded is ever changed, only reversed.

Functions take an open Session and never commit; the clock, the actor and the city's zone come in with an `Entry`.
Reading order: `model`, `ledger` (one place), `transfers` (two), `counting`, `coverage`, `alerts`, `seals`.
"""
