"""How many rows the next transaction takes."""

from evq_server.pipeline.pace import LEAST, MOST, TARGET, Pace


def test_transactions_grow_to_the_most_while_they_are_fast() -> None:
    pace = Pace()
    sizes = []
    for _ in range(4):
        sizes.append(pace.next())
        pace.took(sizes[-1], 0.0)
    assert sizes == [LEAST, 2 * LEAST, 4 * LEAST, MOST]


def test_a_slow_transaction_makes_the_next_one_as_small_as_is_fast_and_worth_a_commit() -> None:
    pace = Pace()
    pace.took(LEAST, 0.0)
    pace.took(2 * LEAST, 1.25 * TARGET)
    assert pace.next() == 1.6 * LEAST
    pace.took(2 * LEAST, 1_000 * TARGET)
    assert pace.next() == LEAST


def test_a_small_rest_is_no_measure_unless_it_is_slow() -> None:
    pace = Pace()
    pace.took(LEAST, 0.0)
    pace.took(1, TARGET / 2)
    assert pace.next() == 2 * LEAST
    pace.took(10, 10 * TARGET)
    assert pace.next() == LEAST
