"""
One call of the virtual venue, and what is certain after it.

There are four outcomes, and only two of them are certain about the request: ``Done`` (the venue
says what it did) and ``NotLookedAt`` (the venue says, or the refused connection shows, that it
did nothing). Everything else, whatever it looks like, is ``Unknown``: a dropped connection, a time
out, any 5xx, half an answer, somebody else's answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec
import tenacity

from brokers.virtual import wire
from brokers.virtual.limits import READS_MAX, RETRY_FIRST_S, RETRY_MAX_S
from brokers.virtual.wire import Answer, Refusal
from messages import Cause, ReasonCode


@dataclass(frozen=True, slots=True)
class Done:
    """The venue did what was asked."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class NotLookedAt:
    """
    The venue did nothing, for certain.

    ``error`` is a word of ``wire.UNPROCESSED`` or ``UNREACHABLE``. ``retry_after_ms`` is set where
    the venue was asked too often.
    """

    error: str
    detail: str = ""
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows what the venue did."""

    detail: str


Outcome = Done | NotLookedAt | Unknown

UNREACHABLE: Final = "unreachable"
"""No connection was made, so not one byte of the request has left."""


class Line:
    """
    The connections to one venue.

    Nothing is ever sent twice here: aiohttp itself repeats idempotent methods on a connection that
    was dropped, therefore everything that changes an account is a POST, which it does not.
    """

    def __init__(self, url: str, key: str, timeout_s: float, next_id: Callable[[], str]) -> None:
        """Talk to the venue at ``url``; nothing is connected yet."""
        self._url = url.rstrip("/")
        self._headers = {wire.KEY_HEADER: key}
        self._timeout_s = timeout_s
        self._next_id = next_id
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        """Return the address, without the key."""
        return f"<Line {self._url}>"

    async def post(self, path: str, body: msgspec.Struct) -> Outcome:
        """Ask for a change."""
        return await self._call("POST", path, msgspec.json.encode(body), {}, self._timeout_s)

    async def get(
        self, path: str, query: Mapping[str, str] | None = None, wait_s: float = 0.0
    ) -> Outcome:
        """Ask a question that the venue may keep open for ``wait_s``."""
        return await self._call("GET", path, None, query or {}, self._timeout_s + wait_s)

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes | None,
        query: Mapping[str, str],
        timeout_s: float,
    ) -> Outcome:
        request_id = self._next_id()
        headers = {wire.REQUEST_HEADER: request_id, "Content-Type": "application/json"}
        try:
            async with self._open().request(
                method,
                self._url + path,
                data=body,
                params=query,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                content = await _whole(response)
                status, retry_after = response.status, response.headers.get("Retry-After", "")
        except aiohttp.ClientConnectorError as error:
            return NotLookedAt(UNREACHABLE, f"{error.os_error.strerror or error.os_error}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Unknown(f"{type(error).__name__}: {error}".rstrip(": "))
        return outcome_of(request_id, status, content, retry_after)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers, connector=aiohttp.TCPConnector(limit=0), trust_env=False
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    content = b""
    while chunk := await response.content.read(wire.BODY_BYTES_MAX):
        content += chunk
        if len(content) > 4 * wire.BODY_BYTES_MAX:
            raise ValueError("the answer is too long")
    return content


def outcome_of(request_id: str, status: int, content: bytes, retry_after: str = "") -> Outcome:
    """Return what an HTTP answer makes certain; pure."""
    if status == 200:
        try:
            answer = _answers.decode(content)
        except (msgspec.DecodeError, ValueError) as error:
            return Unknown(f"an answer that cannot be read: {error}")
        if answer.request_id != request_id:
            return Unknown("the answer to another request")
        return Done(answer)
    if 400 <= status < 500:
        try:
            refusal = _refusals.decode(content)
        except (msgspec.DecodeError, ValueError):
            return Unknown(f"HTTP {status} without the venue's word")
        if refusal.request_id == request_id and refusal.error in wire.UNPROCESSED:
            wait = None
            if refusal.error == wire.RATE_LIMITED:
                wait = 1000 * int(retry_after) if retry_after.isdigit() else 0
            return NotLookedAt(refusal.error, refusal.detail, wait)
        return Unknown(f"HTTP {status} {refusal.error}")
    return Unknown(f"HTTP {status}")


_answers = msgspec.json.Decoder(Answer)
_refusals = msgspec.json.Decoder(Refusal)


def cause_of(outcome: NotLookedAt) -> Cause:
    """Return why an order that the venue has not looked at came to nothing."""
    if outcome.error == wire.RATE_LIMITED:
        detail = f"rate_limit retry_after_ms={outcome.retry_after_ms}"
        return Cause(ReasonCode.VENUE_RATE_LIMITED, detail)
    if outcome.error == UNREACHABLE:
        return Cause(ReasonCode.VENUE_REJECTED, f"not sent: {outcome.detail}")
    return Cause(ReasonCode.VENUE_REJECTED, f"not looked at: {outcome.error} {outcome.detail}")


def is_answered(outcome: Outcome) -> bool:
    """Return whether to ask again would be no use: who was turned away is turned away again."""
    return isinstance(outcome, Done) or (
        isinstance(outcome, NotLookedAt) and outcome.error != UNREACHABLE
    )


def last_outcome(state: tenacity.RetryCallState) -> Outcome:
    """Return the last outcome of a question that was asked until nobody waited longer."""
    assert state.outcome is not None, "it was asked at least once"
    outcome: Outcome = state.outcome.result()
    return outcome


def words(outcome: Outcome) -> str:
    """Return what there is to say of an outcome, empty if it is done."""
    if isinstance(outcome, NotLookedAt):
        return f"{outcome.error} {outcome.detail}".rstrip()
    return "" if isinstance(outcome, Done) else outcome.detail


async def asked_again(
    ask: Callable[[], Awaitable[Outcome]], sleep: Callable[[float], Awaitable[None]]
) -> Outcome:
    """Ask a question, which changes nothing, until it is answered, so often and no longer."""
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_not_result(is_answered),
        stop=tenacity.stop_after_attempt(READS_MAX),
        wait=tenacity.wait_exponential(RETRY_FIRST_S, max=RETRY_MAX_S),
        sleep=sleep,
        retry_error_callback=last_outcome,
    )
    outcome: Outcome = await retrying(ask)
    return outcome
