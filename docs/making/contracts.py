"""The pages of the contracts: which adapter does what, as the suites prove it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Protocol

from brokers import behaviours as brokers
from feeds import behaviours as feeds
from making.parts import page, table


class Declared(Protocol):
    """An adapter as its floor declares it."""

    @property
    def lacks(self) -> Mapping[Enum, str]:
        """Return why it is without what others do."""

    def does(self, behaviour: Enum) -> bool:
        """Return whether the suite proves it."""


def broker_contract() -> str:
    """Return the table of what each broker does."""
    declared = brokers.BROKERS
    where = ((f"`{name}`", each.proven_at) for name, each in declared.items())
    return page(
        "What every broker does",
        """\
        One suite (`tests/broker_contract`) runs at every broker, with the real client library where
        there is one, and proves each line of each column.
        An empty cell is a behaviour that a broker is without; why is said below.
        Which order types, flags and ids a single venue of ccxt takes is
        [another matter](../how-to/real-venues.md).
        """,
        table(("broker", "proven at"), where),
        "## Behaviours\n",
        behaviour_table(brokers.Behaviour, declared),
        "## What is not there, and why\n",
        reasons(brokers.Behaviour, declared),
    )


def feed_contract() -> str:
    """Return the tables of what each feed does."""
    every = [each for each in feeds.Behaviour if each not in feeds.LIVE]
    live = {name: each for name, each in feeds.FEEDS.items() if each.is_live}
    return page(
        "What every feed does",
        """\
        One suite (`tests/feed_contract`) runs at every feed, with the real client library where
        there is one, and proves each line of each column.
        An empty cell is a behaviour that a feed is without; why is said below.
        """,
        "## Of every feed\n",
        behaviour_table(every, feeds.FEEDS),
        "## Of live feeds\n",
        behaviour_table([each for each in feeds.Behaviour if each in feeds.LIVE], live),
        "## What is not there, and why\n",
        reasons(feeds.Behaviour, feeds.FEEDS),
    )


def behaviour_table(behaviours: Iterable[Enum], declared: Mapping[str, Declared]) -> str:
    """Return a table of behaviours by adapter."""
    rows = (
        (behaviour.value, *("yes" if each.does(behaviour) else "" for each in declared.values()))
        for behaviour in behaviours
    )
    return table(("what it does", *(f"`{name}`" for name in declared)), rows)


def reasons(behaviours: Iterable[Enum], declared: Mapping[str, Declared]) -> str:
    """Return a table of what adapters are without, one row for one that does none of it."""
    every = set(behaviours)
    rows: list[tuple[str, str, str]] = []
    for name, each in declared.items():
        if set(each.lacks) == every:
            rows += [(f"`{name}`", "all of it", why) for why in dict.fromkeys(each.lacks.values())]
        else:
            rows += [(f"`{name}`", lacking.value, why) for lacking, why in each.lacks.items()]
    return table(("adapter", "is without", "because"), rows)
