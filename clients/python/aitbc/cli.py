"""The seed document's command line. Answers go to standard output, everything else to standard error.

Exit codes are those of the program aitbc: docs/cli.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import sys
from datetime import timedelta
from typing import Any, Callable, Dict, List, Optional

from .client import Client
from .error import Error, JobError
from .model import Answer, Event, Job, Submission, decimal

_OTHER, _USAGE, _NOT_FOUND, _KEY, _FUNDS, _JOB, _STATE, _LATER = 1, 2, 3, 4, 5, 6, 7, 8
_INTERRUPTED = 130


def main(argv: Optional[List[str]] = None) -> int:
    """Runs one command line and gives the exit code."""
    args = _parser().parse_args(argv)
    try:
        client = Client(args.url, args.api_key)
        code: int = args.do(client, args)
        return code
    except JobError as failure:
        _complain(str(failure))
        return _JOB
    except Error as failure:
        _complain(str(failure), failure)
        return _exit_code(failure)
    except ValueError as fault:
        _complain(str(fault))
        return _USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    env = os.environ.get
    root = argparse.ArgumentParser(prog="client.py", description="Ask AI models on an AITBC network.")
    root.add_argument("--url", default=env("AITBC_URL") or "http://127.0.0.1:18000", help="the coordinator (AITBC_URL)")
    root.add_argument(
        "--api-key", default=env("AITBC_API_KEY") or env("CLIENT_KEY") or "", help="the API key (AITBC_API_KEY or CLIENT_KEY)"
    )
    root.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print")
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Callable[[Client, argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(do=do)
        return made

    submit = commands.add_parser("submit", help="submit a job").add_subparsers(required=True, metavar="TYPE")
    for name, do, text in (
        ("inference", _submit, "submit an inference"),
        ("chat", _submit_chat, "submit a chat"),
        ("embedding", _submit_embedding, "submit texts to make vectors of"),
    ):
        kind = submit.add_parser(name, help=text, description=text)
        kind.set_defaults(do=do)
        _terms(kind)
        kind.add_argument("--request-id", default="", help="submit this at most once: the same id gives the same job")
        if name == "embedding":
            kind.add_argument("--input", action="append", required=True, help="a text; may be repeated")
        else:
            kind.add_argument("--prompt", "-p", required=True, help="the prompt; - reads standard input")
            kind.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="a sampling option; may be repeated")
        if name == "chat":
            kind.add_argument("--system", default="", help="what the model is told before the conversation")
        ending = kind.add_mutually_exclusive_group()
        ending.add_argument("--wait", "-w", action="store_true", help="wait for the end and print the result")
        ending.add_argument("--stream", action="store_true", help="print the answer as it is made")
    _terms(command("quote", _quote, "say what a job would cost, and whether it is possible"))

    for name, do, text in (
        ("status", _status, "show a job: where it is, its result, its cost"),
        ("watch", _watch, "show a job's answer as it is made"),
        ("cancel", _cancel, "cancel a job whose result has not arrived"),
        ("receipt", _receipt, "show a receipt"),
    ):
        command(name, do, text).add_argument("id", metavar="RECEIPT_ID" if name == "receipt" else "JOB_ID")
    jobs = command("jobs", _jobs, "list your jobs, newest first")
    jobs.add_argument("--status", default="", help="only jobs with this status")
    jobs.add_argument("--limit", type=int, default=20, help="at most this many")
    command("account", _account, "show your account and the price")
    statement = command("statement", _statement, "explain every unit of your account, newest first")
    statement.add_argument("--limit", type=int, default=50, help="at most this many")
    command("models", _models, "list the models that can be asked for")
    return root


def _terms(parser: argparse.ArgumentParser) -> None:
    """Makes the flags that jobs of all types have, and quotes."""
    model = os.environ.get("AITBC_MODEL") or "llama3.2:latest"
    parser.add_argument("--model", "-m", default=model, help="the model (default: %(default)s)")
    parser.add_argument("--max-price", default="", help="the most the job may cost, such as 0.25aitbc")


def _submit(client: Client, args: argparse.Namespace) -> int:
    return _submitted(client, args, client.submit(_prompt(args), options=_options(args.option), **_asked(args)))


def _submit_chat(client: Client, args: argparse.Namespace) -> int:
    messages = [{"role": "system", "content": args.system}] if args.system else []
    messages.append({"role": "user", "content": _prompt(args)})
    return _submitted(client, args, client.submit_chat(messages, options=_options(args.option), **_asked(args)))


def _submit_embedding(client: Client, args: argparse.Namespace) -> int:
    return _submitted(client, args, client.submit_embedding(args.input, **_asked(args)))


def _prompt(args: argparse.Namespace) -> str:
    return sys.stdin.read().rstrip("\n") if args.prompt == "-" else str(args.prompt)


def _asked(args: argparse.Namespace) -> Dict[str, Any]:
    return {"model": args.model, "max_price": args.max_price, "idempotency_key": args.request_id}


def _submitted(client: Client, args: argparse.Namespace, submitted: Submission) -> int:
    if args.stream:
        return _follow(client, submitted.job_id, args.output)
    if args.wait:
        return _show(client.wait(submitted.job_id), args.output)
    if args.output == "json":
        at = submitted.submitted_at.isoformat() if submitted.submitted_at else None
        told = {"job_id": submitted.job_id, "status": submitted.status, "submitted_at": at, "available": submitted.available}
        _json({name: value for name, value in told.items() if value is not None})
    else:
        print(f"Job ID: {submitted.job_id}\nStatus: {submitted.status}")
    return 0


def _quote(client: Client, args: argparse.Namespace) -> int:
    quote = client.quote(model=args.model, max_price=args.max_price)
    if args.output == "json":
        _json(quote.raw)
    else:
        print("Possible: yes" if quote.possible else f"Possible: no: {quote.message} ({quote.reason})")
        print(f"At most: {_coins(quote.max_price)} ({quote.execution_limit:g} s of compute at {_coins(quote.price_per_second)} a second)")
        if quote.estimated_cost:
            print(f"Lately: {_coins(quote.estimated_cost)} an answer")
        print(f"Place in the queue: {quote.position}\nMiners that could run it: {quote.eligible_miners}\nAvailable: {_coins(quote.available)}")
    return 0 if quote.possible else _JOB


def _statement(client: Client, args: argparse.Namespace) -> int:
    if args.limit < 1:
        raise ValueError(f"--limit is {args.limit}, want at least 1")
    entries = list(itertools.islice(client.statement(), args.limit))
    if args.output == "json":
        _json({"entries": [{**dataclasses.asdict(e), "time": e.time.isoformat() if e.time else None} for e in entries]})
        return 0
    print(f"{'TIME':<19}  {'BLOCK':>8}  {'WHAT':<16}  {'AMOUNT':>18}  JOB")
    for entry in entries:
        at = entry.time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if entry.time else ""
        print(f"{at:<19}  {entry.block_height:>8}  {entry.kind:<16}  {_coins(entry.amount):>18}  {entry.job_id}")
    return 0


def _options(pairs: List[str]) -> Dict[str, Any]:
    options: Dict[str, Any] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            raise ValueError(f"--option {pair!r}: want NAME=VALUE")
        if name == "stop":
            options.setdefault("stop", []).append(value)
            continue
        try:
            options[name] = json.loads(value)
        except ValueError:
            raise ValueError(f"--option {pair}: {value!r} is not a number") from None
    return options


def _status(client: Client, args: argparse.Namespace) -> int:
    job = client.get(args.id)
    _show(job, args.output)
    return 0


def _watch(client: Client, args: argparse.Namespace) -> int:
    return _follow(client, args.id, args.output)


def _cancel(client: Client, args: argparse.Namespace) -> int:
    _show(client.cancel(args.id), args.output)
    return 0


def _receipt(client: Client, args: argparse.Namespace) -> int:
    _json(client.receipt(args.id))
    return 0


def _jobs(client: Client, args: argparse.Namespace) -> int:
    if args.limit < 1:
        raise ValueError(f"--limit is {args.limit}, want at least 1")
    listed = []
    for job in client.jobs(status=args.status, page_size=min(args.limit, 1000)):
        listed.append(job)
        if len(listed) == args.limit:
            break
    if args.output == "json":
        _json({"jobs": [job.raw for job in listed]})
        return 0
    print(f"{'JOB ID':<30}  {'STATUS':<9}  {'COST':<14}  MODEL")
    for job in listed:
        print(f"{job.job_id:<30}  {job.status:<9}  {_coins(job.cost):<14}  {job.model}")
    return 0


def _account(client: Client, args: argparse.Namespace) -> int:
    account = client.account()
    if args.output == "json":
        _json(account.raw)
        return 0
    print(f"Account: {account.account_id}\nBalance: {_coins(account.balance)}\nEscrowed: {_coins(account.escrowed)}")
    print(f"Allowance: {_coins(account.allowance)}\nAvailable: {_coins(account.available)}")
    print(f"Price: {_coins(account.price_per_second)} a second")
    return 0


def _models(client: Client, args: argparse.Namespace) -> int:
    models = client.models()
    if args.output == "json":
        _json([{"id": m.id, "miners": m.miners, "digests": m.digests} for m in models])
        return 0
    for model in models:
        print(model.id)
    return 0


def _follow(client: Client, job_id: str, output: str) -> int:
    """Prints a job's answer as it is made, and how it ended."""
    if output == "text":
        print(f"Job ID: {job_id}", flush=True)
    answered = line_open = False
    for event in client.events(job_id):
        if output == "json":
            _json_line(event)
        elif event.kind == "text":
            print(("" if answered else "Result: ") + event.text, end="", flush=True)
            answered = line_open = True
        elif event.kind == "attempt_reset":
            print("\n" if line_open else "", end="", flush=True)
            print(f"The answer begins anew (attempt {event.attempt}).", file=sys.stderr)
            answered = line_open = False
        if event.kind == "done" and event.job is not None:
            if output == "text":
                print("\n" if line_open else "", end="")
                _lines(event.job, with_result=not answered)
            return 0 if event.job.status == "completed" else _JOB
    return 0


def _show(job: Job, output: str) -> int:
    if output == "json":
        _json(job.raw)
    else:
        print(f"Job ID: {job.job_id}")
        _lines(job, with_result=True)
    return _JOB if job.status in ("failed", "cancelled") else 0


def _lines(job: Job, *, with_result: bool) -> None:
    """Prints the seed document's lines."""
    print(f"Status: {job.status}")
    if not job.ended and job.phase:
        print(f"Phase: {job.phase}")
    if job.result and with_result:
        print(f"Result: {_readable(job)}")
    if job.error:
        print(f"Error: {job.error.message} ({job.error.reason})")
    if job.receipt_id:
        print(f"Receipt: {job.receipt_id}")
    if not job.ended:
        return
    if job.status == "completed" and job.completed_at and job.submitted_at:
        print(f"Completed in: {_seconds(job.completed_at - job.submitted_at)}")
    print(f"Cost: {_coins(job.cost)}")
    if job.refund:
        print(f"Refund: {_coins(job.refund.amount)}")


def _readable(job: Job) -> str:
    """Gives a result for people: of a chat, what the assistant says and wants called."""
    if job.raw.get("type") != "chat":
        return job.result
    try:
        answer = Answer.read(job)
    except (ValueError, KeyError, TypeError):
        return job.result
    return answer.content + "".join(f"\n  calls {call.name}({call.arguments})" for call in answer.tool_calls)


def _coins(amount: str) -> str:
    return f"{decimal(amount).normalize():f} AITBC" if amount else ""


def _seconds(span: timedelta) -> str:
    """Whole seconds from ten on, else hundredths; halves go up, as in the other command line."""
    microseconds = span // timedelta(microseconds=1)
    unit = 1_000_000 if microseconds >= 10_000_000 else 10_000
    rounded = (microseconds + unit // 2) // unit * unit / 1_000_000
    return f"{rounded:g} second" + ("" if rounded == 1 else "s")


def _json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _json_line(event: Event) -> None:
    told: Dict[str, Any] = {"event_id": event.id, "event": event.kind}
    if event.job is not None:
        told["job"] = event.job.raw
    else:
        told.update(attempt=event.attempt, offset=event.offset, text=event.text)
    print(json.dumps(told, ensure_ascii=False), flush=True)


def _complain(text: str, failure: Optional[Error] = None) -> None:
    print(f"Error: {text}", file=sys.stderr)
    if failure is None:
        return
    if failure.tries > 1:
        print(f"Tried: {failure.tries} times (the first try and {failure.tries - 1} retries)", file=sys.stderr)
    if failure.request_id:
        print(f"Request ID: {failure.request_id}", file=sys.stderr)
    remedy = _REMEDIES.get(failure.reason)
    if remedy:
        print(f"What to do: {remedy}", file=sys.stderr)


_REMEDIES = {
    "INVALID_KEY": "give a good key with AITBC_API_KEY, CLIENT_KEY or --api-key; an admin makes one with: aitbc keys create",
    "INSUFFICIENT_FUNDS": "lower --max-price, or fund the account; on a development network: aitbc account faucet",
    "MODEL_NOT_ALLOWED": "ask for a model that the key is for",
    "PRIORITY_NOT_ALLOWED": "leave the priority out, or use a key that an admin made with it",
    "SPEND_LIMIT": "lower --max-price, or come back when the day (UTC) is over",
    "MODEL_NOT_FOUND": "choose another model: the command models lists them",
    "JOB_NOT_FOUND": "check the id and the key: the command jobs lists your jobs",
    "UNREACHABLE": "check that the coordinator runs and that AITBC_URL or --url names it",
}


def _exit_code(failure: Error) -> int:
    by_reason = {"INSUFFICIENT_FUNDS": _FUNDS, "WRONG_STATE": _STATE, "IDEMPOTENCY_MISMATCH": _STATE, "UNREACHABLE": _LATER}
    by_status = {400: _USAGE, 413: _USAGE, 401: _KEY, 403: _KEY, 404: _NOT_FOUND, 409: _STATE}
    by_status.update({429: _LATER, 502: _LATER, 503: _LATER, 504: _LATER})
    return by_reason.get(failure.reason) or by_status.get(failure.http_status) or _OTHER
