import pytest

from evq import Queue, UsageError
from evq.keys import KEYS, QueueKeys


def test_all_keys_of_a_queue_share_its_hash_tag() -> None:
    keys = QueueKeys("mail")
    assert all(keys[name].startswith(b"evq:{mail}:") for name in KEYS)
    assert len({keys[name] for name in KEYS}) == len(KEYS)


def test_a_suffix_is_added_to_a_prefix() -> None:
    assert QueueKeys("mail").of("log_of", "X") == b"evq:{mail}:log:X"


def test_no_key_can_be_mistaken_for_one_of_another_kind() -> None:
    tails = [tail for tail, _ in KEYS.values()]
    prefixes = [tail for name, (tail, _) in KEYS.items() if name.endswith("_of")]
    assert all(prefix.endswith(":") for prefix in prefixes)
    assert not [(p, tail) for p in prefixes for tail in tails if tail != p and tail.startswith(p)]


@pytest.mark.parametrize("name", ["", "{x}", "a b", "a:b", "-a", "a" * 101, "a\n", "é"])
def test_what_is_no_name_for_a_queue_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a queue"):
        Queue(name)


@pytest.mark.parametrize("name", ["file-processing", "a", "Q1.x_y", "9" * 100])
def test_names_of_queues_may_have_dots_and_dashes(name: str) -> None:
    assert Queue(name).name == name
