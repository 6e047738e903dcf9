"""The client against a server that does as it is told: what cannot be brought about on a real network."""

from __future__ import annotations

import json
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Tuple

from aitbc import Client, Error, JobError, RetryPolicy, Unreachable
from aitbc.cli import main
from aitbc.model import decimal, instant

JOB = {"job_id": "job_1", "status": "pending", "submitted_at": "2025-01-29T14:50:01.5Z"}
DONE = {**JOB, "status": "completed", "result": "one two", "cost": "0.25aitbc", "completed_at": "2025-01-29T14:50:18.5Z"}
QUICK = RetryPolicy(first_delay=0.001)

Answer = Tuple[int, Dict[str, str], Any]


class Server:
    """Answers each request with the next of its answers, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked = list(answers), []  # type: List[Answer], List[Any]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                outer.asked.append((self.command, self.path, dict(self.headers), body))
                status, headers, answer = outer.answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.encode() if isinstance(answer, str) else json.dumps(answer).encode())

            do_POST = do_GET

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def refusal(reason: str, *details: Any) -> Dict[str, Any]:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "aitbc", "reason": reason, "metadata": {"request_id": "req-7"}}
    return {"code": 3, "message": "no", "details": [info, *details]}


def sse(*events: Tuple[str, str, Any]) -> Answer:
    text = "".join(f": alive\n\nevent: {name}\nid: {i}\ndata: {json.dumps(data)}\n\n" for i, name, data in events)
    return 200, {"Content-Type": "text/event-stream"}, text


class ClientTest(unittest.TestCase):
    def serve(self, *answers: Answer) -> Server:
        server = Server(*answers)
        self.addCleanup(server.close)
        return server

    def test_a_submission_that_is_tried_again_is_the_same_one(self) -> None:
        server = self.serve((503, {}, refusal("OVERLOADED")), (429, {"Retry-After": "0.001"}, refusal("RATE_LIMITED")), (200, {}, JOB))
        submitted = Client(server.url, "key", retry=QUICK).submit("a b", model="m", options={"temperature": 0}, max_price="1aitbc")
        self.assertEqual(submitted.job_id, "job_1")
        self.assertEqual({asked[2]["Idempotency-Key"] for asked in server.asked}, {server.asked[0][2]["Idempotency-Key"]})
        self.assertEqual(server.asked[2][2]["X-Api-Key"], "key")
        want = {"type": "inference", "prompt": "a b", "model": "m", "options": {"temperature": 0}, "max_price": "1aitbc"}
        self.assertEqual(server.asked[2][3], want)

    def test_after_three_retries_it_gives_up(self) -> None:
        busy: Answer = (503, {}, refusal("OVERLOADED"))
        server = self.serve(*[busy] * 4)
        with self.assertRaises(Error) as caught:
            Client(server.url, retry=QUICK).get("job_1")
        self.assertEqual((caught.exception.tries, caught.exception.reason, len(server.asked)), (4, "OVERLOADED", 4))

    def test_what_cannot_get_better_is_not_tried_again(self) -> None:
        fields = {"@type": "type.googleapis.com/google.rpc.BadRequest", "field_violations": [{"field": "prompt", "description": "is empty"}]}
        cases: List[Tuple[int, Dict[str, str]]] = [(400, {}), (429, {}), (429, {"Retry-After": "60"})]
        for status, header in cases:
            server = self.serve((status, header, refusal("INVALID_FIELD", fields)))
            with self.assertRaises(Error) as caught:
                Client(server.url, retry=QUICK).get("job_1")
            self.assertEqual(caught.exception.fields, {"prompt": "is empty"})
            self.assertEqual(caught.exception.request_id, "req-7")
            self.assertEqual(str(caught.exception), "no; prompt: is empty (INVALID_FIELD)")

    def test_nobody_there(self) -> None:
        server = Server()
        server.close()
        with self.assertRaises(Unreachable) as caught:
            Client(server.url, retry=QUICK).get("job_1")
        self.assertEqual(caught.exception.tries, 4)

    def test_an_answer_of_somebody_else(self) -> None:
        server = self.serve((200, {}, "<html>"), (404, {}, "<html>"))
        for _ in range(2):
            with self.assertRaises(Error):
                Client(server.url, retry=QUICK).get("job_1")

    def test_a_cut_stream_goes_on_behind_the_last_event(self) -> None:
        first = sse(("1", "state", JOB), ("2", "text", {"attempt": 1, "offset": 0, "text": "one "}))
        rest = sse(("3", "text", {"attempt": 1, "offset": 4, "text": "two"}), ("4", "done", DONE))
        server = self.serve(first, (503, {}, refusal("OVERLOADED")), rest)
        tokens = list(Client(server.url, retry=QUICK).tokens("job_1"))
        self.assertEqual("".join(token.text for token in tokens), "one two")
        self.assertEqual([asked[2].get("Last-Event-ID") for asked in server.asked], [None, "2", "2"])

    def test_a_stream_that_is_sent_away_comes_back(self) -> None:
        server = self.serve(sse(("1", "state", JOB), ("", "error", {**refusal("OVERLOADED"), "code": 14})), sse(("2", "done", DONE)))
        kinds = [event.kind for event in Client(server.url, retry=QUICK).events("job_1")]
        self.assertEqual(kinds, ["state", "done"])

    def test_another_attempt_voids_the_text(self) -> None:
        failed = {**JOB, "status": "failed", "error": {"reason": "ENGINE_ERROR", "message": "broke"}}
        server = self.serve(sse(("1", "attempt_reset", {"attempt": 2}), ("2", "done", failed)))
        tokens = Client(server.url, retry=QUICK).tokens("job_1")
        self.assertTrue(next(tokens).reset)
        with self.assertRaises(JobError) as caught:
            next(tokens)
        self.assertEqual((caught.exception.reason, caught.exception.job.job_id), ("ENGINE_ERROR", "job_1"))

    def test_pages_are_walked(self) -> None:
        server = self.serve((200, {}, {"jobs": [JOB, JOB], "next_page_token": "a/b"}), (200, {}, {"jobs": [JOB], "next_page_token": ""}))
        self.assertEqual(len(list(Client(server.url).jobs(status="pending", page_size=2))), 3)
        self.assertEqual(server.asked[1][1], "/v1/jobs?page_size=2&status=pending&page_token=a%2Fb")

    def test_a_chat_an_embedding_a_quote_and_a_statement(self) -> None:
        said = {**DONE, "type": "chat", "result": json.dumps({"role": "assistant", "content": "hi", "tool_calls": [{"id": "1", "name": "f", "arguments": "{}"}]})}
        made = {**DONE, "type": "embedding", "result": "[[0.5,-1],[2,3]]"}
        offer = {"possible": False, "reason": "MODEL_NOT_FOUND", "message": "none", "max_price": "6aitbc", "price_per_second": "0.02aitbc"}
        offer.update(execution_limit="300s", queue={"position": 2, "estimated_wait": "1.5s"}, eligible_miners=1, available="3aitbc")
        posting = {"book": "escrow", "account_id": "", "amount": "-1aitbc"}
        entry = {"time": "2025-01-29T14:50:01Z", "block_height": 7, "kind": "submit_job", "amount": "-1aitbc", "balance": "", "postings": [posting]}
        server = self.serve(
            (200, {}, {**JOB, "available": "5aitbc"}), (200, {}, said), (200, {}, JOB), (200, {}, made), (200, {}, offer), (200, {}, {"entries": [entry]})
        )
        client = Client(server.url)
        answer = client.chat([{"role": "user", "content": "hello"}], model="m", tools=[{"name": "f"}], idempotency_key="once")
        self.assertEqual((answer.content, answer.tool_calls[0].name, answer.tool_calls[0].arguments), ("hi", "f", "{}"))
        self.assertEqual(server.asked[0][3], {"type": "chat", "messages": [{"role": "user", "content": "hello"}], "model": "m", "tools": [{"name": "f"}]})
        self.assertEqual(server.asked[0][2]["Idempotency-Key"], "once")
        self.assertEqual(client.embed(["a", "b"], model="m", max_price="1aitbc"), [[0.5, -1.0], [2.0, 3.0]])
        self.assertEqual(server.asked[2][3], {"type": "embedding", "input": ["a", "b"], "model": "m", "max_price": "1aitbc"})
        with self.assertRaises(ValueError):
            client.embed("a text", model="m")
        quote = client.quote(model="m")
        self.assertEqual((quote.possible, quote.reason, quote.execution_limit, quote.position), (False, "MODEL_NOT_FOUND", 300.0, 2))
        entries = list(client.statement())
        self.assertEqual((entries[0].kind, entries[0].block_height, entries[0].postings[0].amount), ("submit_job", 7, "-1aitbc"))

    def test_values(self) -> None:
        self.assertEqual(str(decimal("0.25aitbc")), "0.25")
        at = instant("2025-01-29T14:50:01.123456789Z")
        self.assertEqual(at.isoformat() if at else "", "2025-01-29T14:50:01.123456+00:00")
        with self.assertRaises(ValueError):
            Client("grpc://127.0.0.1:1")

    def test_the_command_line_tells_classes_apart(self) -> None:
        run: Callable[..., int] = lambda server, *args: main(["--url", server.url, *args])
        self.assertEqual(run(self.serve((401, {}, refusal("INVALID_KEY"))), "account"), 4)
        self.assertEqual(run(self.serve((402, {}, refusal("INSUFFICIENT_FUNDS"))), "submit", "inference", "--prompt", "p"), 5)
        self.assertEqual(run(self.serve((404, {}, refusal("JOB_NOT_FOUND"))), "status", "job_1"), 3)


if __name__ == "__main__":
    unittest.main()
