"""Client of an AITBC network, over REST and with the standard library only.

    from aitbc import Client

    client = Client("http://127.0.0.1:18000", api_key="client_dev_key_1")
    job = client.run("What is machine learning?", model="tiny")
    print(job.result, job.cost)

    for token in client.stream("Tell me a story.", model="tiny"):
        print(token.text, end="", flush=True)

Every call is tried once and then up to three times more, with growing pauses, where that is safe; a
submission carries an idempotency key, so that no retry makes a second job. A stream that is cut goes
on behind the last byte. Failures are ``Error`` (a call) and ``JobError`` (a job), with the reasons of
docs/errors.md.
"""

from .client import Client
from .error import Error, JobError, Unreachable
from .model import (
    Account,
    Answer,
    Event,
    Failure,
    Job,
    Model,
    Posting,
    Quote,
    Refund,
    StatementEntry,
    Submission,
    Token,
    ToolCall,
    decimal,
    vectors,
)
from .transport import RetryPolicy

__all__ = [
    "Account",
    "Answer",
    "Client",
    "Error",
    "Event",
    "Failure",
    "Job",
    "JobError",
    "Model",
    "Posting",
    "Quote",
    "Refund",
    "RetryPolicy",
    "StatementEntry",
    "Submission",
    "Token",
    "ToolCall",
    "Unreachable",
    "decimal",
    "vectors",
]
