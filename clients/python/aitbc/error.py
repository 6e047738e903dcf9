"""What can go wrong: a call that failed, a job that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

if TYPE_CHECKING:
    from .model import Job


class Error(Exception):
    """A call that failed. ``reason`` is a word of docs/errors.md; empty: not a coordinator's answer."""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        http_status: int = 0,
        fields: Optional[Mapping[str, str]] = None,
        metadata: Optional[Mapping[str, str]] = None,
        retry_after: float = 0.0,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.http_status = http_status
        self.fields: Mapping[str, str] = fields or {}
        """The request's faulty fields, each with what it should be."""
        self.metadata: Mapping[str, str] = metadata or {}
        self.retry_after = retry_after
        """Seconds after which to come back, if the coordinator said so."""
        self.request_id = request_id
        """Finds the call in the coordinator's log."""
        self.tries = 1

    def __str__(self) -> str:
        text = self.message
        for field, remedy in self.fields.items():
            if field not in text:
                text += f"; {field}: {remedy}"
        return f"{text} ({self.reason})" if self.reason else text

    @property
    def retryable(self) -> bool:
        return self.http_status in (502, 503, 504) or (self.http_status == 429 and self.retry_after > 0)


class Unreachable(Error):
    """Nobody answered, or the connection broke."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="UNREACHABLE")

    @property
    def retryable(self) -> bool:
        return True


class JobError(Exception):
    """A job that failed or was cancelled; ``job`` has all that is known of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.reason = job.error.reason if job.error else ""
        message = job.error.message if job.error else "the coordinator gives no reason"
        super().__init__(f"job {job.job_id} {job.status}: {message} ({self.reason})")


def from_answer(http_status: int, answer: Any, header: Mapping[str, str]) -> Error:
    """Reads an error answer: a google.rpc.Status as JSON."""
    reason = ""
    fields: Dict[str, str] = {}
    metadata: Dict[str, str] = {}
    retry_after = _number(header.get("Retry-After"))
    if not isinstance(answer, dict) or "message" not in answer:
        answer = {"message": f"HTTP {http_status}, and not in the words of a coordinator"}
    for detail in answer.get("details") or []:
        kind = str(detail.get("@type", "")).rsplit(".", 1)[-1]
        if kind == "ErrorInfo" and detail.get("domain") == "aitbc":
            reason, metadata = detail.get("reason", ""), detail.get("metadata") or {}
        elif kind == "BadRequest":
            violations = detail.get("field_violations") or detail.get("fieldViolations") or []
            fields = {v.get("field", ""): v.get("description", "") for v in violations}
        elif kind == "RetryInfo" and not retry_after:
            retry_after = _number(str(detail.get("retry_delay") or "").rstrip("s"))
    return Error(
        str(answer["message"]),
        reason=reason,
        http_status=http_status,
        fields=fields,
        metadata=metadata,
        retry_after=retry_after,
        request_id=metadata.get("request_id", "") or header.get("X-Request-Id", ""),
    )


def _number(text: Optional[str]) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0  # an HTTP date, which no coordinator sends
