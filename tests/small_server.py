"""A small server with the OpenAI protocol around the transformers engine: real answers where vLLM is not installed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from longthought.engines import Engine, Sampling
from longthought.errors import UserError


class QuietServer(ThreadingHTTPServer):
    """Does not print what happens when a client goes away."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class QuietHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def listening(handler: type[QuietHandler]) -> Iterator[str]:
    """The root URL of a server with this handler."""
    server = QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def error(message: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


@contextmanager
def running(engine: Engine, name: str) -> Iterator[str]:
    """The base URL of a server that answers with `engine`, one request at a time."""
    lock = threading.Lock()

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.body())
            if self.path != "/v1/chat/completions" or asked["model"] != name:
                return self.reply(404, error(f"The model `{asked['model']}` does not exist."))
            first, *more = asked["messages"]
            prefix = more[0]["content"] if more and asked.get("continue_final_message") else ""
            sampling = Sampling(
                asked["max_tokens"], asked["temperature"], asked["top_p"], 1, asked.get("seed", 0),
                tuple(asked.get("stop", ())),
            )  # fmt: skip
            try:
                with lock:
                    one = engine.generate([first["content"]], sampling, prefixes=[[prefix]] if prefix else None)[0][0]
            except UserError as refusal:
                return self.reply(400, error(str(refusal)))
            usage = {"prompt_tokens": one.prompt_tokens, "completion_tokens": one.tokens}
            message = {"role": "assistant", "content": one.text}
            choice = {"index": 0, "message": message, "finish_reason": one.finish}
            return self.reply(200, json.dumps({"id": "1", "choices": [choice], "usage": usage}).encode())

    with listening(Handler) as root:
        yield f"{root}/v1"
