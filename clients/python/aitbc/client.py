"""The client: jobs, streams, receipts, and what the network looks like."""

from __future__ import annotations

import secrets
import ssl
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence
from urllib.parse import quote, urlencode

from .error import Error, JobError, from_answer
from .model import Account, Answer, Event, Job, Model, Quote, StatementEntry, Submission, Token, vectors
from .transport import RetryPolicy, ServerEvent, Transport

_POLL_FIRST = 0.025
_POLL_MOST = 1.0
# A silent stream says ": alive" every 15 s.
_SILENCE = 45.0
# How long a stream that was cut is tried to be had again: a coordinator that starts anew takes seconds.
_RESUME_FOR = 60.0
_RESUME_MOST = 2.0


class Client:
    """Calls one coordinator. It holds no connection and may be used from many threads.

    Errors are ``Error`` unless the method says otherwise.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:18000",
        api_key: str = "",
        *,
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        """``timeout`` bounds each try of each call, in seconds."""
        self._transport = Transport(url, api_key, timeout, retry, tls)

    def submit(
        self,
        prompt: str,
        *,
        model: str,
        options: Optional[Mapping[str, Any]] = None,
        max_price: str = "",
        timeouts: Optional[Mapping[str, str]] = None,
        model_digest: str = "",
        idempotency_key: str = "",
    ) -> Submission:
        """Hands a job in and returns as soon as it is durable.

        ``options`` are sampling options such as ``{"temperature": 0}``; ``max_price`` is the most it
        may cost, such as ``"0.25aitbc"``; ``timeouts`` are such as ``{"queue": "30s"}``. The same
        ``idempotency_key`` within 24 h gives the same job; without one each call makes its own, so
        that its retries are safe.
        """
        request = _request(options, max_price, timeouts, model_digest)
        return self._submit({"type": "inference", "prompt": prompt, "model": model, **request}, idempotency_key)

    def submit_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str,
        tools: Sequence[Mapping[str, Any]] = (),
        options: Optional[Mapping[str, Any]] = None,
        max_price: str = "",
        timeouts: Optional[Mapping[str, str]] = None,
        model_digest: str = "",
        idempotency_key: str = "",
    ) -> Submission:
        """Hands a conversation in, whose next message is wanted; else as submit.

        ``messages`` are such as ``{"role": "user", "content": "..."}``, the oldest first, ``tools`` such
        as ``{"name": "...", "description": "...", "parameters": {...}}`` with a JSON schema.
        """
        request = _request(options, max_price, timeouts, model_digest)
        if tools:
            request["tools"] = list(tools)
        return self._submit({"type": "chat", "messages": list(messages), "model": model, **request}, idempotency_key)

    def submit_embedding(
        self,
        texts: Sequence[str],
        *,
        model: str,
        max_price: str = "",
        timeouts: Optional[Mapping[str, str]] = None,
        model_digest: str = "",
        idempotency_key: str = "",
    ) -> Submission:
        """Hands texts in, 1 to 256, to make vectors of; else as submit."""
        if isinstance(texts, str):
            raise ValueError("texts must be a list of texts")
        request = _request(None, max_price, timeouts, model_digest)
        return self._submit({"type": "embedding", "input": list(texts), "model": model, **request}, idempotency_key)

    def _submit(self, body: Mapping[str, Any], idempotency_key: str) -> Submission:
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        return Submission.read(self._transport.call("POST", "/v1/jobs", body, headers))

    def quote(
        self, *, model: str, max_price: str = "", timeouts: Optional[Mapping[str, str]] = None, model_digest: str = ""
    ) -> Quote:
        """Says what a job would cost at most, how long it would wait, and whether it is possible now."""
        body = {"model": model, **_request(None, max_price, timeouts, model_digest)}
        return Quote.read(self._transport.call("POST", "/v1/quotes", body))

    def get(self, job_id: str) -> Job:
        """Reads a job now."""
        return Job.read(self._transport.call("GET", _path("/v1/jobs/", job_id)))

    def wait(self, job_id: str, *, timeout: Optional[float] = None) -> Job:
        """Gives the job at its end, however it ended. Raises TimeoutError; the job goes on then."""
        until = None if timeout is None else time.monotonic() + timeout
        pause = _POLL_FIRST
        while True:
            job = self.get(job_id)
            if job.ended:
                return job
            if until is not None and time.monotonic() + pause > until:
                raise TimeoutError(f"job {job_id} is {job.status} after {timeout:g} s; it goes on")
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_MOST)

    def run(self, prompt: str, *, model: str, timeout: Optional[float] = None, **request: Any) -> Job:
        """Submits a job and waits for its end. ``request`` is as for submit. Raises JobError too."""
        return _completed(self.wait(self.submit(prompt, model=model, **request).job_id, timeout=timeout))

    def chat(self, messages: Sequence[Mapping[str, Any]], *, model: str, timeout: Optional[float] = None, **request: Any) -> Answer:
        """Submits a conversation, waits, and gives its next message. ``request`` is as for submit_chat.
        Raises JobError too."""
        job = _completed(self.wait(self.submit_chat(messages, model=model, **request).job_id, timeout=timeout))
        return Answer.read(job)

    def embed(self, texts: Sequence[str], *, model: str, timeout: Optional[float] = None, **request: Any) -> List[List[float]]:
        """Submits texts, waits, and gives a vector for each. ``request`` is as for submit_embedding. Raises
        JobError too."""
        job = _completed(self.wait(self.submit_embedding(texts, model=model, **request).job_id, timeout=timeout))
        return vectors(job)

    def stream(self, prompt: str, *, model: str, **request: Any) -> Iterator[Token]:
        """Submits a job and gives its answer as it is made. Raises JobError too."""
        return self.tokens(self.submit(prompt, model=model, **request).job_id)

    def tokens(self, job_id: str) -> Iterator[Token]:
        """Gives a job's answer as it is made, from its start. Raises JobError too."""
        for event in self.events(job_id):
            if event.kind == "text":
                yield Token(event.text, event.attempt)
            elif event.kind == "attempt_reset":
                yield Token("", event.attempt, reset=True)
            elif event.kind == "done" and event.job is not None:
                _completed(event.job)

    def events(self, job_id: str, after: str = "") -> Iterator[Event]:
        """Gives what happens to a job, from its start or behind the event with the id ``after``, until
        its end. A stream that is cut is resumed for up to a minute, unless the policy has no retries."""
        attempt = 1
        cut: Optional[float] = None  # since when the stream is away; None before the first event
        while True:
            received = False
            try:
                for raw in self._transport.events(_path("/v1/jobs/", job_id) + "/events", after, _SILENCE):
                    event = _event(raw)
                    after, attempt, received = event.id, 1, True
                    yield event
                    if event.kind == "done":
                        return
                return  # nothing follows: the event that was named was the last
            except Error as failure:
                cut = time.monotonic() if received else cut
                pause = self._pause(attempt, failure, cut)
                if pause is None:
                    failure.tries = attempt
                    raise
            time.sleep(pause)
            attempt += 1

    def _pause(self, attempt: int, failure: Error, cut: Optional[float]) -> Optional[float]:
        retry = self._transport.retry
        if cut is None:
            return retry.pause(attempt, failure)
        resumable = failure.retryable or failure.reason in ("CALL_ABANDONED", "OVERLOADED")
        if retry.retries == 0 or not resumable or time.monotonic() - cut > _RESUME_FOR:
            return None
        return max(min(retry.delay(attempt), _RESUME_MOST), failure.retry_after)

    def cancel(self, job_id: str) -> Job:
        """Ends a job whose result has not arrived."""
        return Job.read(self._transport.call("POST", _path("/v1/jobs/", job_id) + ":cancel", {}))

    def jobs(self, *, status: str = "", page_size: int = 50) -> Iterator[Job]:
        """Walks the account's jobs, newest first, without their results, a page at a time."""
        query: Dict[str, object] = {"page_size": page_size}
        if status:
            query["status"] = status
        for item in self._pages("/v1/jobs", "jobs", query):
            yield Job.read(item)

    def receipt(self, receipt_id: str) -> Dict[str, Any]:
        """Reads a receipt as the contract shows it; ``aitbc receipt verify`` checks it."""
        answer = self._transport.call("GET", _path("/v1/receipts/", receipt_id))
        return dict(answer)

    def account(self) -> Account:
        """Reads the account and the price."""
        return Account.read(self._transport.call("GET", "/v1/account"))

    def statement(self) -> Iterator[StatementEntry]:
        """Explains every unit of the account, newest first, a page at a time."""
        for item in self._pages("/v1/account/statement", "entries", {}):
            yield StatementEntry.read(item)

    def models(self) -> List[Model]:
        """Lists the models that can be asked for."""
        return [Model.read(item) for item in self._pages("/v1/models", "data", {})]

    def miners(self) -> List[Dict[str, Any]]:
        """Lists the miners that the coordinator knows, as the contract shows them."""
        return [dict(item) for item in self._pages("/v1/miners", "miners", {})]

    def _pages(self, path: str, field: str, query: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
        token = ""
        while True:
            asked: Dict[str, object] = dict(query)
            if token:
                asked["page_token"] = token
            page = self._transport.call("GET", path + ("?" + urlencode(asked) if asked else ""))
            items: Sequence[Mapping[str, Any]] = page.get(field) or []
            yield from items
            token = page.get("next_page_token") or ""
            if not token:
                return


def _request(
    options: Optional[Mapping[str, Any]], max_price: str, timeouts: Optional[Mapping[str, str]], model_digest: str
) -> Dict[str, Any]:
    given: Dict[str, Any] = {"options": options, "max_price": max_price, "timeouts": timeouts, "model_digest": model_digest}
    return {name: value for name, value in given.items() if value}


def _path(prefix: str, name: str) -> str:
    if not name:
        raise ValueError("an id must not be empty")
    return prefix + quote(name, safe="")


def _completed(job: Job) -> Job:
    if job.status != "completed":
        raise JobError(job)
    return job


def _event(raw: ServerEvent) -> Event:
    if raw.name == "error":
        code = {4: 504, 8: 429, 14: 503}.get(raw.data.get("code", 0), 500)
        raise from_answer(code, raw.data, {})
    if raw.name in ("state", "done"):
        return Event(raw.id, raw.name, job=Job.read(raw.data))
    return Event(
        raw.id, raw.name, attempt=int(raw.data.get("attempt") or 0), offset=int(raw.data.get("offset") or 0), text=raw.data.get("text") or ""
    )
