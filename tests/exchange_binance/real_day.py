"""
A day of real perpetuals, traded in two processes; truth log, journal and ledger compared.

    python tests/exchange_binance/real_day.py [--modes one_way hedge] [--bars 1440] [--speed 480]
        [--verify] [--folder DIR] [--data DIR]

``tidegate venue --dialect binanceusdm`` plays 1,440 recorded minutes of BTC, SOL and LAYER with
the recorded funding, ``tidegate trade`` hears of them by ccxt's streams over TLS and trades there:
in one-way mode sma_cross and donchian_breakout, in hedge mode dual_dca and a neutral grid, whose
long and short positions stand side by side. Every order, fill, position, fee, payment and balance
is compared to the last digit; with ``--verify`` the session is executed once more, too. Prints the
counts and every difference; exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]


def main() -> int:
    """Trade the day in each mode that is asked for."""
    parser = argparse.ArgumentParser(description="a day of real perpetuals in two processes")
    modes = ("one_way", "hedge")
    parser.add_argument("--modes", nargs="+", choices=modes, default=modes)
    parser.add_argument("--bars", type=int, default=1_440, help="minutes from midnight on")
    parser.add_argument("--speed", type=float, default=480.0, help="market seconds in a real one")
    parser.add_argument("--limits-times", type=int, default=4, help="the exchange's request limits")
    parser.add_argument("--verify", action="store_true", help="execute the sessions once more")
    parser.add_argument("--folder", type=Path, help="where both records stay (default: nowhere)")
    parser.add_argument("--data", type=Path, help="the shared data (default: beside the checkout)")
    chosen = parser.parse_args()
    if chosen.data is not None:
        os.environ["TIDEGATE_SHARED_DATA"] = str(chosen.data.resolve())
    from day_house import problems, real_market, trade, verified

    from messages import PositionMode

    found = 0
    with tempfile.TemporaryDirectory(prefix="tidegate-day-") as temporary:
        for name in chosen.modes:
            folder = (chosen.folder or Path(temporary)).resolve() / name
            folder.mkdir(parents=True)
            market = real_market(folder, chosen.bars)
            began = time.monotonic()
            day = trade(
                folder,
                market,
                PositionMode(name),
                speed=chosen.speed,
                limits_times=chosen.limits_times,
                patience_s=600 + 4 * chosen.bars * 60 / chosen.speed,
            )
            print(f"{name}: {time.monotonic() - began:.0f} s, exit code {day.exit_code}")
            print(json.dumps(day.counts(), indent=2))
            differences = list(problems(day))
            if chosen.verify:
                differences += filter(None, [verified(day)])
            found += len(differences)
            print(f"differences: {len(differences)}")
            for line in differences:
                print(f"  {line}")
            sys.stdout.flush()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
