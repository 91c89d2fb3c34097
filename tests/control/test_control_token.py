"""The token is made once, for its owner alone, and shown nowhere."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tidegate.control.token import Token, TokenRefused, token_at


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """Mode 0600, 256 bits, and the same at every start."""
    path = tmp_path / "account" / "control.token"
    first, second = token_at(path), token_at(path)

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert first.reveal() == second.reveal() == path.read_text().strip()
    assert len(first.reveal()) >= 43


def test_no_two_tokens_are_the_same(tmp_path: Path) -> None:
    """Each account has its own."""
    assert token_at(tmp_path / "one").reveal() != token_at(tmp_path / "two").reveal()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """It is not a secret any more; the error does not show it either."""
    path = tmp_path / "control.token"
    path.write_text("tide-7f3a9c51d2e84b06")
    path.chmod(mode)

    with pytest.raises(TokenRefused, match=f"found permissions 0{mode:o}, expected 0600") as error:
        token_at(path)
    assert "tide-7f3a" not in str(error.value)


@pytest.mark.parametrize("content", ["", "short", "two words of sixteen", "x" * 600, "é" * 20])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    """An empty token would let everybody in."""
    path = tmp_path / "control.token"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(TokenRefused, match="expected one line of 16 to 512"):
        token_at(path)


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        ("Bearer tide-7f3a9c51d2e84b06", True),
        ("bearer tide-7f3a9c51d2e84b06", True),
        ("Bearer tide-7f3a9c51d2e84b0", False),
        ("Bearer tide-7f3a9c51d2e84b06x", False),
        ("Basic tide-7f3a9c51d2e84b06", False),
        ("tide-7f3a9c51d2e84b06", False),
        ("Bearer", False),
        ("Bearer \udcff", False),
        ("", False),
    ],
)
def test_only_the_whole_token_is_admitted(header: str, admitted: bool) -> None:
    """Whatever else a header says."""
    assert admitted is Token("tide-7f3a9c51d2e84b06").admits(header)


def test_a_token_shows_itself_in_no_repr() -> None:
    """Tracebacks and logs of locals carry reprs."""
    token = Token("tide-7f3a9c51d2e84b06")

    assert "7f3a" not in f"{token!r}{token}{[token]}"
