"""
The routes of the control plane: commands in, facts out.

Two listeners serve the same application. Whoever reaches the Unix socket may do everything: the
file's permissions are the authority. Over HTTP whatever changes something needs the token; a
request must name a loopback host, say what it is (JSON), and gets no permission to be read by
pages from elsewhere. A request waits for the session for a bounded time, and says so when the
session did not answer.
"""

from __future__ import annotations

import asyncio
import json
import pwd
import socket
import struct
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from aiohttp import web

from actors import inspection
from actors.commands import Answer, Request, as_document
from actors.inbox import Closed, Waiting
from actors.runtime.clock import monotonic_s
from messages import EVERYTHING, Hold
from tidegate.control import limits, metrics
from tidegate.control.addresses import admitted_host
from tidegate.control.bodies import BODIES, BodyRefused, request_of
from tidegate.control.record import Record
from tidegate.control.sight import NotLive, Seen, Sight
from tidegate.control.token import Token

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SOCKET: Final = "socket"
HTTP: Final = "http"
LATEST = "latest"
START_GRACE_S = 60.0
"""A session may take this long to start (data, strategies) before that is no health."""


class Problem(Exception):
    """A request that is not carried out: its HTTP status and why."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep what the answer will say."""
        super().__init__(why)
        self.status = status
        self.headers = headers


class Plane:
    """What answers requests: the way to the session, and what is known without it."""

    def __init__(
        self,
        sight: Sight,
        record: Record,
        token: Token,
        *,
        daemon: Mapping[str, Any],
        with_metrics: bool = True,
        remote: bool = False,
        notices: Mapping[str, int] | None = None,
    ) -> None:
        """Answer for the session behind ``sight``; ``remote`` admits hosts beyond loopback."""
        self.sight = sight
        self.record = record
        self.token = token
        self.daemon = daemon
        self.with_metrics = with_metrics
        self.remote = remote
        self.notices: Mapping[str, int] = {} if notices is None else notices
        self.stalls = 0
        self.requests: Counter[tuple[str, str]] = Counter()
        self.connections_refused = 0
        self.served: set[object] = set()
        """The connections on which a request has come."""
        self._reads = 0
        self._commands = 0
        self._ticket = 0
        self._tickets: OrderedDict[str, tuple[Waiting, asyncio.Future[Answer]]] = OrderedDict()
        self._latching: set[asyncio.Future[None]] = set()
        self._started_s = monotonic_s()
        self._log = structlog.get_logger("control")

    def application(self) -> web.Application:
        """Return the application with all routes."""
        app = web.Application(
            client_max_size=limits.BODY_BYTES_MAX, middlewares=[self._answering, self._admitting]
        )
        app.add_routes(
            [
                web.post("/v1/commands/{command}", self.command),
                web.get("/v1/commands/{ticket}", self.answer),
                web.get("/v1/status", self.status),
                web.get("/v1/holds", self.holds),
                web.get("/v1/explain/{target:.+}", self.explain),
                web.get("/v1/kill/{kill_id}", self.kill),
                web.get("/healthz", self.healthz),
                web.get("/readyz", self.readyz),
                web.get("/metrics", self.metrics),
            ]
        )
        return app

    # -- around every request

    @web.middleware
    async def _answering(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn whatever happens into one JSON answer, and count it."""
        self.served.add(request.protocol)
        try:
            response = await handler(request)
        except Problem as problem:
            response = _problem(problem.status, str(problem), problem.headers)
        except web.HTTPException as error:
            response = _problem(error.status, _expected(error))
        except Exception as error:  # noqa: BLE001 - one request's trouble is not the daemon's
            # The text of an error may repeat what the client sent: the type has to do.
            self._log.error("control_request_failed", error=type(error).__name__)
            response = _problem(500, f"a fault inside: {type(error).__name__}")
        response.headers["Server"] = "tidegate"
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        self.requests[listener(request), str(response.status)] += 1
        return response

    @web.middleware
    async def _admitting(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who may, as many as may."""
        if listener(request) == HTTP:
            self._admit(request)
        commands = request.method == "POST"
        busy = self._commands if commands else self._reads
        if busy >= (limits.COMMANDS_MAX if commands else limits.READS_MAX):
            raise Problem(503, f"{busy} requests are being answered already", {"Retry-After": "1"})
        self._count(commands=commands, by=1)
        try:
            return await handler(request)
        finally:
            self._count(commands=commands, by=-1)

    def _count(self, *, commands: bool, by: int) -> None:
        if commands:
            self._commands += by
        else:
            self._reads += by

    def _admit(self, request: web.Request) -> None:
        if not admitted_host(request.headers.get("Host", ""), remote=self.remote):
            raise Problem(403, "host: expected this machine's own address or localhost")
        reading = request.method in {"GET", "HEAD"}
        if reading and not self.remote:
            return
        if not self.token.admits(request.headers.get("Authorization", "")):
            raise Problem(
                401,
                "expected the header Authorization: Bearer TOKEN with the token of "
                "control.token_file",
                {"WWW-Authenticate": "Bearer"},
            )

    # -- commands

    async def command(self, request: web.Request) -> web.Response:
        """Take one command and answer what became of it."""
        name = request.match_info["command"]
        if name not in BODIES:
            raise Problem(404, f"command: found {name!r}, expected one of {', '.join(BODIES)}")
        if request.content_type != "application/json":
            raise Problem(415, "content-type: expected application/json")
        try:
            wanted = request_of(name, await _content(request), caller(request))
        except BodyRefused as refused:
            raise Problem(400, str(refused)) from None
        waiting, future = self._hand_over(wanted)
        done, _ = await asyncio.wait({future}, timeout=limits.COMMAND_S)
        try:
            answer = future.result() if done else None
        except Closed as closed:
            raise Problem(503, f"{closed}: it was not taken") from None
        self._log.info(
            "command_answered",
            verb=wanted.verb.value,
            by=wanted.by,
            reason=wanted.reason,
            scope=str(wanted.scope),
            ok=None if answer is None else answer.ok,
            answer="on its way" if answer is None else answer.text,
        )
        if answer is not None:
            return _answered(answer)
        self._ticket += 1
        ticket = str(self._ticket)
        self._tickets[ticket] = waiting, future
        while len(self._tickets) > limits.TICKETS_KEPT:
            self._tickets.popitem(last=False)
        return _json(self._on_its_way(waiting, ticket), 202)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer what became of a command that was on its way, by its ticket."""
        ticket = request.match_info["ticket"]
        if ticket not in self._tickets:
            raise Problem(404, f"ticket {ticket!r}: not known")
        waiting, future = self._tickets[ticket]
        if not future.done():
            return _json(self._on_its_way(waiting, ticket), 202)
        try:
            return _answered(future.result())
        except Closed as closed:
            raise Problem(503, f"{closed}: it was not taken") from None

    def _hand_over(self, wanted: Request) -> tuple[Waiting, asyncio.Future[Answer]]:
        """Hand a command over, waiting for nothing; a kill is latched on the disk beside it."""
        door = self.sight.door
        try:
            waiting = door.hand_over(wanted)
        except Closed as closed:
            raise Problem(503, f"{closed}; nothing was changed", {"Retry-After": "1"}) from None
        future = asyncio.wrap_future(waiting.future)
        # An answer that nobody fetches any more is no error of the loop's.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        if waiting.is_kill:
            # In a thread, because disks can hang; of those that do, more threads would not help.
            self._latching = {latch for latch in self._latching if not latch.done()}
            if len(self._latching) < limits.LATCHING_MAX:
                loop = asyncio.get_running_loop()
                self._latching.add(loop.run_in_executor(None, door.latch, waiting))
        return waiting, future

    def _on_its_way(self, waiting: Waiting, ticket: str) -> dict[str, Any]:
        late_s = round(self.sight.door.pulse.late_s, 3)
        text = f"the session has not taken the command yet: its work is {late_s} s late"
        if waiting.is_kill and waiting.latched:
            text = (
                f"latched on the disk: no start of this account opens anything. {text}; "
                "what it is stuck in is stopped, or the process is ended"
            )
        elif waiting.is_kill:
            text = f"NOT on the disk yet, which does not answer; {text}"
        return {
            "ok": False,
            "pending": True,
            "latched": waiting.latched,
            "ticket": ticket,
            "text": text,
        }

    # -- facts

    async def status(self, request: web.Request) -> web.Response:
        """Answer what the session does now; what it did last, with its age, if it is stuck."""
        del request
        return _json(self.shown(await self.sight.look()))

    def shown(self, seen: Seen) -> dict[str, Any]:
        """Return a look as the document of ``status``: stale facts stand apart from live ones."""
        known = None if seen.facts is None else seen.facts["status"]
        document: dict[str, Any] = {
            "live": seen.live,
            "stalled_s": 0.0 if seen.live else seen.pulse["late_s"],
            "pulse": seen.pulse,
            "daemon": dict(self.daemon),
        }
        if seen.live and known is not None:
            return {**known, **document}
        last = None if known is None else {**known, "live": False}
        return {
            **document,
            "why": seen.why,
            "session_id": self.record.session_id,
            "held_now": [hold.hold_id for hold in self._in_force()],
            "last_known_age_s": seen.age_s,
            "last_known": last,
        }

    def _in_force(self) -> list[Hold]:
        """Return the holds in force now, whatever the session's thread is doing."""
        session = self.sight.door.session
        # A copy that Python makes in one step: nobody sees the set in the middle of a change.
        return [] if session is None else list(session.assembly.holds.view().values())

    async def holds(self, request: web.Request) -> web.Response:
        """Answer every hold in force."""
        del request
        return _json(await self._asked(inspection.holds))

    async def explain(self, request: web.Request) -> web.Response:
        """Answer why a symbol is or is not traded, or what became of an order."""
        target = request.match_info["target"]
        try:
            return _json(await self._asked(lambda session: inspection.explain(session, target)))
        except LookupError as error:
            raise Problem(404, str(error.args[0] if error.args else error)) from None

    async def _asked(self, question: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        try:
            return {"live": True, **await self.sight.ask(question)}
        except NotLive as dead:
            raise Problem(503, f"the session is not live: {dead}", {"Retry-After": "1"}) from None

    async def kill(self, request: web.Request) -> web.Response:
        """Answer how far a kill is, and its evidence; ``latest`` names the newest."""
        asked = request.match_info["kill_id"]
        kill_id = self.record.newest_kill() if asked == LATEST else asked
        found = None if kill_id is None else self.record.kill(kill_id)
        if found is None:
            raise Problem(404, f"kill {asked!r}: not known (yet) in this session")
        return _json(found)

    # -- for machines

    async def healthz(self, request: web.Request) -> web.Response:
        """Answer 200 while the session does its work in time, 503 while it does not."""
        del request
        pulse = self.sight.door.pulse.document()
        if self.sight.door.session is None:
            starting = monotonic_s() - self._started_s < START_GRACE_S
            return _json({"status": "starting", "pulse": pulse}, 200 if starting else 503)
        late = bool(pulse["stalled"])
        return _json({"status": "late" if late else "ok", "pulse": pulse}, 503 if late else 200)

    async def readyz(self, request: web.Request) -> web.Response:
        """Answer 200 while orders may open, 503 while OPEN is held for everything, and why."""
        del request
        door = self.sight.door
        if door.session is None:
            return _json({"status": "starting", "holds": []}, 503)
        if door.pulse.stalled:
            return _json({"status": "late", "holds": []}, 503)
        in_force = self._in_force()
        shut = any(hold.scope == EVERYTHING for hold in in_force)
        document = {
            "status": "held" if shut else "ready",
            "holds": [hold.hold_id for hold in in_force],
        }
        return _json(document, 503 if shut else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer all metrics in Prometheus' text format."""
        del request
        if not self.with_metrics:
            raise Problem(404, "metrics are off: telemetry.metrics = false")
        source = metrics.Source(await self.sight.look(), self.record, self)
        return web.Response(
            body=metrics.exposition(source), headers={"Content-Type": metrics.CONTENT_TYPE}
        )


# ------------------------------------------------------------------------------------- the parts


def listener(request: web.BaseRequest) -> str:
    """Return by which listener a request came."""
    return SOCKET if _family(request) == socket.AF_UNIX else HTTP


def caller(request: web.BaseRequest) -> str:
    """Return who sends a request: the socket's other end names its user, HTTP names nobody."""
    if listener(request) == HTTP:
        return HTTP
    uid = peer_uid(request)
    if uid is None:
        return "cli"
    try:
        return f"cli:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"cli:{uid}"


def peer_uid(request: web.BaseRequest) -> int | None:
    """Return the user of the process at a Unix socket's other end, where the system tells."""
    found = None if request.transport is None else request.transport.get_extra_info("socket")
    option = getattr(socket, "SO_PEERCRED", None)
    if found is None or option is None:
        return None
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", found.getsockopt(socket.SOL_SOCKET, option, size))
    return int(uid)


def _family(request: web.BaseRequest) -> int | None:
    found = None if request.transport is None else request.transport.get_extra_info("socket")
    return None if found is None else int(found.family)


async def _content(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(limits.REQUEST_S):  # seam: a client's time, not the session's
            return await request.read()
    except TimeoutError:
        raise Problem(408, f"the body did not come within {limits.REQUEST_S} s") from None


def _answered(answer: Answer) -> web.Response:
    return _json({**as_document(answer), "pending": False}, 200 if answer.ok else 409)


def _json(document: Mapping[str, Any], status: int = 200) -> web.Response:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    return web.Response(text=text + "\n", status=status, content_type="application/json")


def _problem(status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
    response = _json({"error": {"problems": [why]}}, status)
    response.headers.update(headers or {})
    return response


def _expected(error: web.HTTPException) -> str:
    match error.status:
        case 404:
            return "no such address; docs/reference/control-api.md lists them all"
        case 405:
            return "another method is expected here"
        case 413:
            return f"the body is longer than {limits.BODY_BYTES_MAX} bytes"
        case _:
            return str(error.reason).lower()
