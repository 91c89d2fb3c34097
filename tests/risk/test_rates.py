"""How often something happened within a minute: what of it is remembered, and for how long."""

from __future__ import annotations

from actors.risk.rates import WINDOW_MS, RateWindow


def test_what_happened_more_than_a_minute_ago_is_not_kept() -> None:
    """The state that goes with every commit is as long as the last minute was busy."""
    window = RateWindow(100)
    for now in range(0, 50_000, 1_000):
        window.note(now)
    assert 50 == len(window.snapshot())

    window.note(49_000 + WINDOW_MS)

    assert [49_000 + WINDOW_MS] == window.snapshot()


def test_a_window_is_full_exactly_while_so_many_lie_within_a_minute() -> None:
    """What happened exactly a minute ago is outside, whether it was forgotten or not."""
    window = RateWindow(3)
    window.note(0)
    window.note(10, 2)

    assert window.full(WINDOW_MS - 1)
    assert not window.full(WINDOW_MS)

    window.note(WINDOW_MS)

    assert [10, 10, WINDOW_MS] == window.snapshot()
    assert window.full(WINDOW_MS + 9)
    assert not window.full(WINDOW_MS + 10)
