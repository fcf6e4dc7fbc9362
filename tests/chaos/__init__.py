"""Faults that are really injected, into real processes, and what must hold all the same.

`journal.py` is written by producers and handlers, outside Redis; `checker.py` compares it with what Redis holds in the
end. `actors.py`, `proxy.py` and `clock.py` are what can be broken; `jobs.py` is what workers run, `producer.py` who
enqueues it. The scenarios are in `test_*.py`, named F1 to F35 as in `docs/explanation/reliability.md`.
"""
