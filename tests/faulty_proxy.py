"""A proxy that spoils what passes through it, as networks and crowded servers do, and counts what did pass."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from small_server import QuietHandler, error, listening

FAULTS = (
    "429", "429 with Retry-After", "500", "503", "hangs", "drips", "reset before", "reset within", "garbage", "html",
    "half", "slow",
)  # fmt: skip
# Those after which the server has done its work, though nobody has got the answer.
WASTED = ("reset within", "half", "drips")
RETRY_AFTER = 1.2


class Proxy:
    """`plan` holds the faults of the first tries of each request: request number i gets plan[i], and its later tries
    pass. Requests are numbered by content in the order of their first arrival."""

    def __init__(self, upstream: str, plan: Sequence[str] = (), delay: float = 0.0) -> None:
        self.upstream, self.plan, self.delay = upstream.removesuffix("/v1"), list(plan), delay
        self.url = ""
        self.lock = threading.Lock()
        self.tries: Counter[str] = Counter()
        self.times: dict[str, list[float]] = {}
        self.passed: Counter[str] = Counter()
        self.faults: list[str] = []
        self.keys: set[str] = set()
        self.under_way = self.most_under_way = 0

    def arrive(self, said: str, key: str) -> str:
        with self.lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            self.keys.add(key)
            first = said not in self.tries
            self.tries[said] += 1
            self.times.setdefault(said, []).append(time.monotonic())
            number = len(self.tries) - 1
            fault = self.plan[number] if first and number < len(self.plan) else ""
            if fault:
                self.faults.append(fault)
            return fault

    def leave(self) -> None:
        with self.lock:
            self.under_way -= 1


@contextmanager
def running(upstream: str, plan: Sequence[str] = (), delay: float = 0.0) -> Iterator[Proxy]:
    """A proxy before `upstream`; each request takes at least `delay` seconds."""
    proxy = Proxy(upstream, plan, delay)

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            sent = self.body()
            said = json.dumps(json.loads(sent), sort_keys=True)
            fault = proxy.arrive(said, self.headers.get("Authorization", ""))
            try:
                time.sleep(proxy.delay)
                self.spoil(fault, sent, said)
            finally:
                proxy.leave()

        def spoil(self, fault: str, sent: bytes, said: str) -> None:
            if fault == "429 with Retry-After":
                return self.reply(429, error("slow down"), {"Retry-After": str(RETRY_AFTER)})
            if fault in ("429", "500", "503"):
                return self.reply(int(fault), error("not now"))
            if fault == "hangs":
                time.sleep(12)
                return self.reset()
            if fault == "reset before":
                return self.reset()
            if fault == "html":
                return self.reply(200, b"<html>We are moving</html>", {"Content-Type": "text/html"})
            if fault == "garbage":
                return self.reply(200, b'{"choices": [{"message": {"content": 7}}], "usa\xff')
            status, content = self.ask(sent)
            if fault == "half":
                return self.reply(status, content[: len(content) // 2])
            if fault in ("reset within", "drips", "slow"):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if fault == "reset within":
                    self.wfile.write(content[: len(content) // 2])
                    self.wfile.flush()
                    time.sleep(0.05)
                    return self.reset()
                if fault == "drips":
                    for byte in content:
                        self.wfile.write(bytes([byte]))
                        time.sleep(0.2)
                    return None
                self.wfile.write(content[:20])
                time.sleep(0.3)
                self.wfile.write(content[20:])
            else:
                self.reply(status, content)
            if status == 200:
                with proxy.lock:
                    proxy.passed[said] += 1
            return None

        def ask(self, sent: bytes) -> tuple[int, bytes]:
            request = urllib.request.Request(
                proxy.upstream + self.path, sent, {"Content-Type": "application/json"}, method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as refusal:
                return refusal.code, refusal.read()

        def reset(self) -> None:
            """Closes with RST, as a broken connection does."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    with listening(Handler) as root:
        proxy.url = f"{root}/v1"
        yield proxy
