"""What Hypothesis chooses among: jobs, limits, and how things go."""

from hypothesis import strategies as st

picks = st.integers(0, 999)
"""Which one, of as many as there are."""
some_picks = st.lists(picks, min_size=1, max_size=3)
rarely = st.sampled_from([False, False, False, False, True])
mostly = st.sampled_from([True, True, True, False])
tasks = st.sampled_from(["send", "send", "send", "parse", "odd"])
ALL = ("send", "parse", "odd")
hooks = st.sampled_from(
    [
        [f"{task} {event}" for task in ALL for event in ("completed", "failed", "cancelled", "retried")],
        ["send completed", "send retried", "parse failed", "odd cancelled"],
    ]
)
known = st.sampled_from([ALL, ("send", "parse"), ("send", "parse"), ("send",), ("odd",)])
groups = st.sampled_from([None, None, "a", "a", "b", "c"])
limited = st.sampled_from(["", "a", "a", "a", "b", "b", "b"])
delays = st.sampled_from([0, 0, 0, 1000, 40_000])
workers = st.sampled_from(["w1", "w2", "w3"])
limits = st.sampled_from(
    [
        {},
        {"concurrency": 1},
        {"concurrency": 2, "weight": 2},
        {"interval": 100, "burst": 1},
        {"interval": 2000, "burst": 1},
        {"interval": 2000, "burst": 3, "concurrency": 2},
    ]
)
plain = {
    "task": tasks,
    "priority": st.sampled_from([2048, 2048, 2048, 0, 4095]),
    "delay": delays,
    "group": groups,
    "expires": st.sampled_from([0, 0, 0, 1500]),
    "deadline": st.sampled_from([0, 0, 0, 35_000]),
    "hooks": st.sampled_from([(), (), ("completed", "failed"), ("retried", "cancelled")]),
}
keyed = {"dedup": st.sampled_from(["k", "l"]), "mode": st.sampled_from(["reject", "existing", "replace", "debounce"])}
descriptions = st.fixed_dictionaries(plain) | st.fixed_dictionaries(plain | keyed)
