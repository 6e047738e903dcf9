"""The contract's resources. Amounts are coin text ("0.25aitbc"); ``decimal`` reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Dict, List, Mapping, Optional

_COIN = "aitbc"


def decimal(amount: str) -> Decimal:
    """Gives the number of coins in a coin text."""
    if not amount.endswith(_COIN):
        raise ValueError(f"{amount!r} is no amount, such as 0.25{_COIN}")
    return Decimal(amount[: -len(_COIN)])


def instant(text: Any) -> Optional[datetime]:
    """Reads an RFC 3339 time in UTC; nothing gives None."""
    if not text:
        return None
    whole, _, fraction = str(text).rstrip("Z").partition(".")
    at = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return at.replace(microsecond=int((fraction + "000000")[:6]))


@dataclass(frozen=True)
class Submission:
    """A job that was accepted."""

    job_id: str
    status: str
    submitted_at: Optional[datetime]
    available: Optional[str] = None
    """What another job could cost at most; None where nothing costs anything."""

    @staticmethod
    def read(m: Mapping[str, Any]) -> Submission:
        return Submission(m["job_id"], m["status"], instant(m.get("submitted_at")), m.get("available"))


@dataclass(frozen=True)
class Failure:
    """Why a job failed or was cancelled."""

    reason: str
    message: str


@dataclass(frozen=True)
class Refund:
    """What of the escrow came back."""

    amount: str
    tx_hash: str
    final_at: Optional[datetime]


@dataclass(frozen=True)
class Job:
    """A job. ``raw`` is the whole answer, with the fields that have no attribute here."""

    job_id: str
    status: str
    phase: str
    model: str
    result: str
    receipt_id: str
    submitted_at: Optional[datetime]
    started_at: Optional[datetime]
    completed_at: Optional[datetime]
    cost: str
    max_price: str
    attempts: int
    miner_id: str
    error: Optional[Failure]
    refund: Optional[Refund]
    raw: Dict[str, Any] = field(repr=False)

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")

    @staticmethod
    def read(m: Mapping[str, Any]) -> Job:
        error, refund = m.get("error"), m.get("refund")
        return Job(
            job_id=m["job_id"],
            status=m["status"],
            phase=m.get("phase") or "",
            model=m.get("model") or "",
            result=m.get("result") or "",
            receipt_id=m.get("receipt_id") or "",
            submitted_at=instant(m.get("submitted_at")),
            started_at=instant(m.get("started_at")),
            completed_at=instant(m.get("completed_at")),
            cost=m.get("cost") or "",
            max_price=m.get("max_price") or "",
            attempts=int(m.get("attempts") or 0),
            miner_id=m.get("miner_id") or "",
            error=Failure(error.get("reason", ""), error.get("message", "")) if error else None,
            refund=Refund(refund["amount"], refund.get("tx_hash") or "", instant(refund.get("final_at"))) if refund else None,
            raw=dict(m),
        )


@dataclass(frozen=True)
class ToolCall:
    """A tool that the assistant wants called; calling it is yours. ``arguments`` is the text of a JSON object."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True)
class Answer:
    """What the assistant said. ``message`` goes into the conversation before the next question."""

    content: str
    thinking: str
    tool_calls: List[ToolCall]
    message: Dict[str, Any] = field(repr=False)
    job: Job = field(repr=False)

    @staticmethod
    def read(job: Job) -> Answer:
        message = json.loads(job.result)
        calls = [ToolCall(c["name"], _text(c.get("arguments")), c.get("id") or "") for c in message.get("tool_calls") or []]
        return Answer(message.get("content") or "", message.get("thinking") or "", calls, message, job)


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def vectors(job: Job) -> List[List[float]]:
    """Gives the vectors that an embedding made, one for each text."""
    return [[float(x) for x in vector] for vector in json.loads(job.result)]


@dataclass(frozen=True)
class Quote:
    """How a job would fare if it were submitted now. It promises nothing; ``raw`` is the whole answer."""

    possible: bool
    reason: str
    message: str
    max_price: str
    price_per_second: str
    execution_limit: float
    """Seconds."""
    estimated_cost: str
    """What answers of the model have cost of late; empty: none was seen."""
    position: int
    eligible_miners: int
    available: str
    raw: Dict[str, Any] = field(repr=False)

    @staticmethod
    def read(m: Mapping[str, Any]) -> Quote:
        return Quote(
            possible=bool(m.get("possible")),
            reason=m.get("reason") or "",
            message=m.get("message") or "",
            max_price=m["max_price"],
            price_per_second=m["price_per_second"],
            execution_limit=float((m.get("execution_limit") or "0s").rstrip("s")),
            estimated_cost=m.get("estimated_cost") or "",
            position=int((m.get("queue") or {}).get("position") or 0),
            eligible_miners=int(m.get("eligible_miners") or 0),
            available=m.get("available") or "",
            raw=dict(m),
        )


@dataclass(frozen=True)
class Posting:
    """What came into a book (balance, escrow, stake ...), or, negative, went out of it."""

    book: str
    account_id: str
    amount: str


@dataclass(frozen=True)
class StatementEntry:
    """What moved the account's tokens; its postings sum to zero."""

    time: Optional[datetime]
    block_height: int
    kind: str
    job_id: str
    tx_hash: str
    amount: str
    balance: str
    postings: List[Posting]

    @staticmethod
    def read(m: Mapping[str, Any]) -> StatementEntry:
        return StatementEntry(
            time=instant(m.get("time")),
            block_height=int(m.get("block_height") or 0),
            kind=m.get("kind") or "",
            job_id=m.get("job_id") or "",
            tx_hash=m.get("tx_hash") or "",
            amount=m.get("amount") or "",
            balance=m.get("balance") or "",
            postings=[Posting(p["book"], p.get("account_id") or "", p["amount"]) for p in m.get("postings") or []],
        )


@dataclass(frozen=True)
class Account:
    """The caller's account; ``raw`` is the whole answer."""

    account_id: str
    balance: str
    escrowed: str
    allowance: str
    available: str
    price_per_second: str
    raw: Dict[str, Any] = field(repr=False)

    @staticmethod
    def read(m: Mapping[str, Any]) -> Account:
        return Account(
            m["account_id"], m["balance"], m["escrowed"], m["allowance"], m["available"], m["price_per_second"], dict(m)
        )


@dataclass(frozen=True)
class Model:
    """A model that connected miners have."""

    id: str
    miners: int
    digests: List[str]

    @staticmethod
    def read(m: Mapping[str, Any]) -> Model:
        return Model(m["id"], int(m.get("miners") or 0), list(m.get("digests") or []))


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: ``state``, ``text``, ``attempt_reset``, ``done``."""

    id: str
    kind: str
    job: Optional[Job] = None
    attempt: int = 0
    offset: int = 0
    text: str = ""


@dataclass(frozen=True)
class Token:
    """A piece of an answer, as large as it happened to come."""

    text: str
    attempt: int
    reset: bool = False
    """All text before is void: another attempt makes the answer. There is no text then."""
