"""HTTP with deadlines, retries and server-sent events."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from .error import Error, Unreachable, from_answer

# The longest answer that is read: a result of 1 MiB, each byte escaped, and room.
_MAX_ANSWER = 16 << 20


@dataclass(frozen=True)
class RetryPolicy:
    """How often and when a call is tried again: without a connection, on HTTP 502, 503 and 504, and
    on 429 when the coordinator says when to come back."""

    retries: int = 3
    first_delay: float = 0.25
    """Seconds before the first retry, doubled for each further one and shortened by up to half at random."""
    max_delay: float = 30.0
    """The longest pause. A coordinator that asks for a longer one ends the call."""

    def pause(self, attempt: int, failure: Error) -> Optional[float]:
        """Seconds to wait after this try, counted from 1; None: it was the last."""
        if attempt > self.retries or not failure.retryable or failure.retry_after > self.max_delay:
            return None
        return max(self.delay(attempt), failure.retry_after)

    def delay(self, attempt: int) -> float:
        delay = min(self.first_delay * 2.0 ** (attempt - 1), self.max_delay)
        return delay * (1 - random.random() / 2)


@dataclass(frozen=True)
class ServerEvent:
    """One server-sent event."""

    id: str
    name: str
    data: Any


class Transport:
    """Makes HTTP calls at one coordinator. Each call has a connection of its own, so that it may be
    used from many threads."""

    def __init__(self, url: str, api_key: str, timeout: float, retry: RetryPolicy, tls: Optional[ssl.SSLContext]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError(f"url {url!r}: want http://host:port or https://host")
        self._url = url
        self._host, self._port, self._secure = parts.hostname, parts.port, parts.scheme == "https"
        self._base = parts.path.rstrip("/")
        self._api_key, self._timeout, self._tls = api_key, timeout, tls
        self.retry = retry

    def call(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, headers: Optional[Mapping[str, str]] = None) -> Any:
        """Makes one call and gives the JSON of its answer. Raises Error."""
        attempt = 1
        while True:
            try:
                return self._once(method, path, body, headers or {})
            except Error as failure:
                failure.tries = attempt
                pause = self.retry.pause(attempt, failure)
                if pause is None:
                    raise
            time.sleep(pause)
            attempt += 1

    def _once(self, method: str, path: str, body: Optional[Mapping[str, Any]], headers: Mapping[str, str]) -> Any:
        connection, response = self._send(method, path, body, headers, self._timeout)
        try:
            return self._answer(response)
        finally:
            connection.close()

    def events(self, path: str, last_id: str, silence: float) -> Iterator[ServerEvent]:
        """Opens a stream and gives its events for as long as somebody wants more; it ends by itself only
        when nothing is left to tell. Raises Error when it is cut; a silence of that many seconds counts
        as cut."""
        headers = {"Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        connection, response = self._send("GET", path, None, headers, silence)
        try:
            if response.status == 204:
                return
            if response.status != 200:
                self._answer(response)
            yield from _parse(_lines(response, self._url))
            raise Unreachable(f"the stream of {self._url} broke off")
        finally:
            connection.close()

    def _send(
        self, method: str, path: str, body: Optional[Mapping[str, Any]], headers: Mapping[str, str], timeout: float
    ) -> Tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection: http.client.HTTPConnection
        if self._secure:
            context = self._tls or ssl.create_default_context()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        all_headers: Dict[str, str] = {"Accept": "application/json", "User-Agent": "aitbc-python/1", **headers}
        if self._api_key:
            all_headers["X-Api-Key"] = self._api_key
        content = None
        if body is not None:
            all_headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        try:
            connection.request(method, self._base + path, body=content, headers=all_headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as cause:
            connection.close()
            raise Unreachable(f"no coordinator answers at {self._url}: {_words(cause)}") from cause

    def _answer(self, response: http.client.HTTPResponse) -> Any:
        try:
            content = response.read(_MAX_ANSWER + 1)
        except (OSError, http.client.HTTPException) as cause:
            raise Unreachable(f"the answer of {self._url} broke off: {_words(cause)}") from cause
        answer: Any = None
        if len(content) <= _MAX_ANSWER:
            try:
                answer = json.loads(content)
            except ValueError:
                pass
        if response.status != 200:
            raise from_answer(response.status, answer, dict(response.getheaders()))
        if answer is None:
            raise Error(f"{self._url} does not answer like a coordinator", http_status=200)
        return answer


def _lines(response: http.client.HTTPResponse, url: str) -> Iterator[str]:
    while True:
        try:
            line = response.readline(_MAX_ANSWER)
        except (OSError, http.client.HTTPException, ValueError) as cause:
            raise Unreachable(f"the stream of {url} broke off: {_words(cause)}") from cause
        if not line:
            return
        yield line.decode("utf-8").rstrip("\r\n")


def _parse(lines: Iterator[str]) -> Iterator[ServerEvent]:
    event_id, name = "", ""
    data: List[str] = []
    for line in lines:
        if not line:
            if data:
                yield ServerEvent(event_id, name, json.loads("\n".join(data)))
            name, data = "", []
            continue
        key, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if key == "id":
            event_id = value
        elif key == "event":
            name = value
        elif key == "data":
            data.append(value)


def _words(cause: BaseException) -> str:
    return str(cause) or type(cause).__name__
