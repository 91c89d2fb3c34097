"""
ccxt's class of a venue, made to listen: what it hears and drops is kept, and what it forgets told.

- An answer's Retry-After is stamped on every exception that is made of it.
- A host that a rehearsal does not reach is never dialled.
- A candle that the venue's stream says is closed is remembered as such.
- A subscription that was answered with an error is forgotten, so that the next try sends it again;
  ccxt takes it for made, and whoever watches waits for ever.
- An error that names the request is told to who made it; ccxt keeps it for a future that nobody
  waits for.
- An error that names what was subscribed to ends that stream; ccxt ends every stream of the line.
  Where it names none, all are sent again: nobody knows which of them is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from feeds.ccxt.differences import ClosedWords, closed_words_of
from feeds.ccxt.reach import Reach
from feeds.history import VenueRefused, VenueTrouble
from state.loopback import leaves_of

if TYPE_CHECKING:
    Exchange = Any
else:
    # Which one it is is known when a venue is opened: ccxt is not loaded before.
    Exchange = object

FOR_CANDLES: Final[ContextVar[bool]] = ContextVar("for_candles", default=False)
"""Whether what is watched is candles: by then ccxt has only an address and a name of its own."""

REQUESTS_MAX: Final = 1_000
"""Subscriptions whose request is remembered: more than are ever on their way, or on a line."""

WORD: Final = re.compile(r"[\w.:/@-]+")
"""What a venue names channels and markets by."""


def listening(base: Any, reach: Reach) -> Any:
    """Return ``base``, ccxt's class of a venue, to be made an object of that listens."""
    own = {"reach": reach, "closed_words": closed_words_of(base)}
    return type(base.__name__, (Listening, base), own)


class Listening(Exchange):  # type: ignore[misc]
    """Goes in front of ccxt's class, which stays as it is; its methods are called by ccxt."""

    reach: Reach
    closed_words: ClosedWords | None

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.answer_headers: Mapping[str, str] = {}
        self.told_closed: dict[str, set[int]] = {}
        self.subscribing: dict[str, tuple[str, ...]] = {}
        self.candle_urls: set[str] = set()
        self.named: dict[tuple[str, str], frozenset[str]] = {}
        self.hearing: Any = None
        super().__init__(given)

    # -- questions

    async def fetch(self, url: str, *args: Any, **kwargs: Any) -> Any:
        """Ask, unless a rehearsal does not reach the host."""
        self.refuse_elsewhere(url)
        return await super().fetch(url, *args, **kwargs)

    def refuse_elsewhere(self, url: str) -> None:
        """Raise ``VenueRefused`` for an address that a rehearsal does not reach."""
        host = urlsplit(url).hostname or ""
        if not self.reach.may_reach(host):
            places = [
                f".api.{place}"
                for place, each in leaves_of(self.urls["api"])
                if urlsplit(self.implode_hostname(each)).hostname == host
            ]
            raise VenueRefused(
                f"[venue.ccxt] urls{''.join(places[:1])}: {host} is not this machine and is "
                "not dialled; expected a local address there, or [venue] loopback_port"
            )

    def handle_errors(
        self, code: int, reason: str, url: str, method: str, headers: Any, *rest: Any
    ) -> Any:
        """Raise what ccxt makes of an answer, stamped; an answer without JSON is trouble."""
        # ccxt calls the other one right after this, without letting anybody in between.
        self.answer_headers = headers or {}
        answer = super().handle_errors
        _, response, *_ = rest
        if code < HTTPStatus.BAD_REQUEST and response is None:
            # ccxt would make an empty answer of it: no candles, as if there were none.
            raise VenueTrouble(f"{self.id}: HTTP {code} without JSON")
        return self.stamping(lambda: answer(code, reason, url, method, headers, *rest))

    def handle_http_status_code(self, *args: Any) -> Any:
        """Raise what ccxt makes of a status, stamped."""
        status = super().handle_http_status_code
        return self.stamping(lambda: status(*args))

    def stamping(self, call: Callable[[], Any]) -> Any:
        """Return what ``call`` does; what it raises has the answer's Retry-After."""
        try:
            return call()
        except Exception as error:
            error.retry_after_s = retry_after_s(self.answer_headers)  # type: ignore[attr-defined]
            raise

    # -- streams

    def client(self, url: str) -> Any:
        """Return the line to an address, unless a rehearsal does not reach the host."""
        self.refuse_elsewhere(url)
        client = super().client(url)
        if "reject" not in vars(client):
            client.reject = partial(self.reject_named, client.url, client.reject)
        return client

    def reject_named(
        self, url: str, reject: Callable[..., Any], error: Any, message_hash: Any = None
    ) -> Any:
        """Do as ``reject``, but of an error that was heard end only the streams that it names."""
        if message_hash is None and self.hearing is not None:
            said = {word for text in texts_in(self.hearing) for word in words_in(text)}
            concerned = [
                each
                for (at, each), names in self.named.items()
                if at == url and names and names <= said
            ]
            for each in concerned:
                reject(error, each)
            if concerned:
                return error
        return reject(error, message_hash)

    def watch(
        self,
        url: str,
        message_hash: str,
        message: Any = None,
        subscribe_hash: Any = None,
        subscription: Any = None,
    ) -> Any:
        """Return what the next message comes to; a subscription that failed is forgotten."""
        over = self.about_to_subscribe(url, message, [subscribe_hash])
        heard = super().watch(url, message_hash, message, subscribe_hash, subscription)
        heard.add_done_callback(over)
        return heard

    def watch_multiple(
        self,
        url: str,
        message_hashes: list[str],
        message: Any = None,
        subscribe_hashes: Any = None,
        subscription: Any = None,
    ) -> Any:
        """Return what the next message of any comes to; subscriptions that failed are forgotten."""
        over = self.about_to_subscribe(url, message, subscribe_hashes or ())
        heard = super().watch_multiple(url, message_hashes, message, subscribe_hashes, subscription)
        heard.add_done_callback(over)
        return heard

    def about_to_subscribe(
        self, url: str, message: Any, hashes: Iterable[str]
    ) -> Callable[[Any], None]:
        """Note a request that is about to be sent; return what hears what it came to."""
        client = self.client(url)
        if FOR_CANDLES.get():
            self.candle_urls.add(url)
        missing = tuple(each for each in hashes if each not in client.subscriptions)
        self.note_names(url, message, tuple(hashes))
        number = self.safe_string_2(message, "req_id", "id") if message else None
        if number is not None and missing:
            self.subscribing[number] = missing
            while len(self.subscribing) > REQUESTS_MAX:
                del self.subscribing[next(iter(self.subscribing))]

        def over(heard: Any) -> None:
            if not heard.cancelled() and heard.exception() is not None:
                for each in hashes:
                    client.subscriptions.pop(each, None)

        return over

    def note_names(self, url: str, message: Any, hashes: tuple[str, ...]) -> None:
        """Note by which words each of a request's subscriptions is known to the venue."""
        asked = message.get("args") if isinstance(message, Mapping) else None
        if not isinstance(asked, list) or len(asked) != len(hashes):
            return
        for each, one in zip(hashes, asked, strict=True):
            self.named[url, each] = frozenset(texts_in(one))
        while len(self.named) > REQUESTS_MAX:
            del self.named[next(iter(self.named))]

    def handle_message(self, client: Any, message: Any) -> Any:
        """Hear a message; an error that names a subscription's request goes to who waits for it."""
        self.hearing = message
        try:
            answer = super().handle_message(client, message)
        finally:
            self.hearing = None
        for number in [each for each in client.rejections if str(each) in self.subscribing]:
            error = client.rejections.pop(number)
            for each in self.subscribing.pop(str(number)):
                client.reject(error, each)
        return answer

    def handle_ohlcv(self, client: Any, message: Any) -> Any:
        """Hear of candles, and remember those that are said to be closed."""
        words = self.closed_words
        if words is not None:
            kind = "spot" if words.is_spot(client.url) else "contract"
            for market, opened in words.closed(message):
                symbol = self.safe_symbol(market, None, None, kind)
                self.told_closed.setdefault(symbol, set()).add(opened)
        return super().handle_ohlcv(client, message)

    def take_closed(self, symbol: str) -> set[int]:
        """Return the opens of the candles that were said to be closed since the last call."""
        return self.told_closed.pop(symbol, set())


def texts_in(document: Any) -> Iterator[str]:
    """Yield every text in a document of one or two levels, as messages and their parts are."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping):
        for each in document.values():
            yield from texts_in(each)


def words_in(text: str) -> Iterator[str]:
    """Yield the words of a text, and what stands behind each colon: ``channel:candle1m``."""
    for word in WORD.findall(text):
        yield word
        yield from word.split(":")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After asks for; None without one, or with a date."""
    for name, value in headers.items():
        if name.lower() == "retry-after" and value.strip().isdigit():
            return float(value)
    return None
