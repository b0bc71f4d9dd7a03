"""The engine that asks a server with the OpenAI protocol: a commercial one, or vLLM, llama.cpp and others at home.

Many requests are under way at once, each for one sample, each stored as soon as it is answered (see `cache`), so a
run that was stopped asks only for what is missing. What passes (429, 5xx, time-outs, broken connections, bodies that
are cut or are no JSON) is tried again after a growing pause or after what the server asks for; what does not pass
(a wrong key, an unknown model, a refused request) ends the run with one line, after the answers under way are in.

An answer of a reasoning model that the server hands over in two fields is put together again as
<think>, the reasoning, </think> and the answer, as such models write it. The key of the server is read from the
environment when requests are made, and is kept nowhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from longthought.engines.cache import Database, default_folder, request_key, stored
from longthought.engines.ledger import Ledger, Price, Totals
from longthought.engines.options import EngineOptions, check_base_url
from longthought.engines.protocol import Completion, Sampling
from longthought.errors import UserError

BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 60.0, 600.0
POLL_SECONDS = 0.1
GO_ON = "Go on with your answer from the very character where it ends. Repeat nothing and do not comment."
# A shorter key is a word that some server wants, and may well be part of an answer.
SHORTEST_KEY = 8
_FINISH = {"stop": "stop", "length": "length"}


@dataclass(frozen=True)
class _Request:
    """One sample that is asked for: its key, and the parameters of the request."""

    key: str
    body: dict[str, Any]
    max_tokens: int

    @property
    def text(self) -> str:
        return json.dumps(self.body["messages"], ensure_ascii=False)


class _PassingError(Exception):
    """What may be gone at the next try; `billed` says whether the server may have charged for this one."""

    def __init__(self, reason: str, *, billed: bool, wait: float | None = None) -> None:
        super().__init__(reason)
        self.billed, self.wait = billed, wait


class ServedEngine:
    """Asks `model` of a server. `name` is that of the model, so that equal models share their answers.

    `finish` is "stop", "length", or the server's own word for another end, such as "content_filter". The same prompt
    twice in one call is two samples of it, and the same one when greedy. Raises UserError for whatever does not pass.
    """

    def __init__(self, model: str, options: EngineOptions) -> None:
        self.name = f"openai:{model}"
        self.tokenizer_name = model
        self._model, self._options = model, options
        self._base_url = options.base_url or os.environ.get("OPENAI_BASE_URL", "")
        check_base_url(self._base_url)
        if self._base_url and urlsplit(self._base_url).scheme not in ("http", "https"):
            raise UserError(f"{self.name}: the base URL must begin with http:// or https:// (often it ends in /v1)")
        if not (self._secret().isascii() and self._secret().isprintable()):
            raise UserError(
                f"{self.name}: the key in the environment variable {options.key_variable} holds a line break or "
                "another character that no key has: set it again"
            )
        if not self._base_url and not self._secret():
            raise UserError(
                f"{self.name}: no key in the environment variable {options.key_variable}: set it, or name your own "
                "server by base_url or OPENAI_BASE_URL"
            )
        if options.price_in is None or options.price_out is None:
            price = None
        else:
            price = Price(options.price_in, options.price_out)
        self._db = Database(options.cache or default_folder())
        self._ledger = Ledger(self._db, model, price, options.max_cost)
        # What this server wants otherwise, learnt from its refusals.
        self._limit = "max_tokens"
        self._unsent: set[str] = set()

    def totals(self) -> Totals:
        """What the ledger of this engine's cache folder holds."""
        return self._ledger.totals()

    def generate(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        progress: Callable[[int, int], None] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`. `prompt_tokens`, `tokens` and `cost` are what the server counts, nothing estimated."""
        k = sampling.samples
        begun = [p for own in prefixes for p in own] if prefixes else [""] * (k * len(prompts))
        if len(begun) != k * len(prompts):
            raise ValueError(f"{len(begun)} prefixes for {len(prompts)} prompts of {k} samples each")
        seen: Counter[str] = Counter()
        requests = [self._request(prompts[i // k], begun[i], sampling, seen) for i in range(len(begun))]
        answers = {r.key: answer for r in requests if (answer := stored(self._db, r.key))}
        missing = {r.key: r for r in requests if r.key not in answers}
        if progress and answers:
            progress(len(answers), len(answers) + len(missing))
        if missing:
            from anyio.from_thread import start_blocking_portal

            # In a thread with a loop of its own, since a notebook already runs one in this.
            with start_blocking_portal() as portal:
                portal.call(self._ask_all, list(missing.values()), answers, progress)
        flat = [answers[r.key] for r in requests]
        return [flat[i * k : (i + 1) * k] for i in range(len(prompts))]

    def _request(self, prompt: str, prefix: str, sampling: Sampling, seen: Counter[str]) -> _Request:
        messages = [{"role": "user", "content": prompt}]
        extra = dict(self._options.extra_body)
        if prefix:
            messages.append({"role": "assistant", "content": prefix})
            if self._options.continuation == "native":
                extra |= {"continue_final_message": True, "add_generation_prompt": False}
            else:
                messages.append({"role": "user", "content": GO_ON})
        body: dict[str, Any] = {
            "messages": messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "extra_body": extra,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        sample = 0
        if sampling.temperature > 0:
            said = json.dumps(messages)
            sample = seen[said]
            seen[said] += 1
            mixed = hashlib.sha256(f"{sampling.seed}|{sample}|{said}".encode()).digest()
            body["seed"] = int.from_bytes(mixed[:4], "big") >> 1
        try:
            key = request_key(self._model, body | {"max_tokens": sampling.max_tokens}, sample)
        except UnicodeEncodeError:
            raise UserError(f"{self.name}: a prompt holds half a character (a lone surrogate): mend its file") from None
        return _Request(key, body, sampling.max_tokens)

    async def _ask_all(
        self,
        requests: Sequence[_Request],
        answers: dict[str, Completion],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        import anyio
        from openai import AsyncOpenAI

        total = len(answers) + len(requests)
        waiting = iter(requests)
        failures: list[UserError] = []

        async def work() -> None:
            for request in waiting:
                if failures:
                    return
                try:
                    answers[request.key] = await self._answer(client, request, failures)
                except UserError as error:
                    failures.append(error)
                    return
                if progress:
                    progress(len(answers), total)

        client = AsyncOpenAI(
            # A server at home asks for no key, but the client does.
            api_key=self._secret() or "none",
            base_url=self._base_url or None,
            max_retries=0,
            timeout=self._options.timeout,
        )
        async with client, anyio.create_task_group() as group:
            for _ in range(min(self._options.concurrency, len(requests))):
                group.start_soon(work)
        if failures:
            raise failures[0]

    async def _answer(self, client: Any, request: _Request, failures: Sequence[UserError]) -> Completion:
        """The answer to a request, after as many tries as it takes and the options allow."""
        import anyio

        reason = ""
        attempt = 0
        while attempt <= self._options.retries and not failures:
            call = self._ledger.claim(request.key, request.text, request.max_tokens)
            if isinstance(call, Completion):
                return call
            if call is None:
                await anyio.sleep(POLL_SECONDS)
                continue
            try:
                completion = await self._try(client, request)
            except _PassingError as error:
                self._ledger.give_up(call, error.billed)
                reason = str(error)
                if attempt < self._options.retries:
                    await anyio.sleep(_pause(attempt, error.wait))
                attempt += 1
            except _Adapted:
                self._ledger.give_up(call, billed=False)
            except _Refused as error:
                self._ledger.give_up(call, error.billed)
                raise UserError(f"{self.name}: {error}") from None
            except BaseException:
                self._ledger.give_up(call, billed=True)
                raise
            else:
                self._ledger.settle(call, request.key, completion)
                return completion
        tries = f"{attempt} {'try' if attempt == 1 else 'tries'}"
        raise UserError(
            f"{self.name}: no answer from {self._host()} after {tries} (at last: {reason}); the answers that came are "
            "kept, so run it again when the server is well"
        )

    async def _try(self, client: Any, request: _Request) -> Completion:
        """One attempt. Raises _PassingError, _Adapted or _Refused, none of them with a trace of the request."""
        import anyio
        import httpx2
        import openai

        limit = self._limit
        body = {name: value for name, value in request.body.items() if name not in self._unsent}
        started = time.monotonic()
        try:
            # The client's own limit is on each read; this one is on the whole, against an answer that drips.
            with anyio.fail_after(self._options.timeout):
                reply = await client.chat.completions.with_raw_response.create(
                    model=self._model, **body, **{limit: request.max_tokens}
                )
                content = reply.http_response.content
        except (TimeoutError, openai.APITimeoutError):
            raise _PassingError(f"nothing within {self._options.timeout:g} s", billed=True) from None
        except openai.APIConnectionError as error:
            unsent = isinstance(error.__cause__, httpx2.ConnectError)
            what = "no connection" if unsent else "the connection broke"
            raise _PassingError(f"{what} ({self._clean(error.__cause__ or error)})", billed=not unsent) from None
        except openai.APIStatusError as error:
            raise self._verdict(error, body | {limit: request.max_tokens}) from None
        return self._read(content, time.monotonic() - started)

    def _verdict(self, error: Any, sent: Mapping[str, Any]) -> Exception:
        """What a refusal means: tried again, asked otherwise, or the end."""
        status, said = error.status_code, self._clean(error.body or error.message)
        wait = _retry_after(error.response.headers)
        quota = "insufficient_quota" in (error.code, error.type)
        if quota or (wait or 0) > LONGEST_WAIT_SECONDS:
            return _Refused(f"the server lets nobody in for now ({status}: {said}): mend the quota or come back later")
        if status in (408, 409, 429) or status >= 500:
            # Behind a gateway that gave up, the model may well have answered.
            return _PassingError(f"{status}: {said}", billed=status in (408, 502, 504), wait=wait)
        if status in (400, 422) and self._adapt(said, sent):
            return _Adapted()
        if status in (401, 403):
            where = f"the key in {self._options.key_variable}" if self._secret() else "a request without a key"
            return _Refused(f"{self._host()} refused {where} ({status}: {said}): set a valid one in the environment")
        if status == 404:
            return _Refused(
                f"{self._host()} knows no such model or path ({said}): check the model's name, and that the base URL "
                "is the server's (often it ends in /v1)"
            )
        hint = ""
        if "continue_final_message" in said or "add_generation_prompt" in said:
            hint = ': it cannot go on with an answer natively, so set continuation to "turn"'
        elif "temperature" in said:
            hint = ": set temperature 1, if that is all that this model takes"
        return _Refused(f"{self._host()} refused the request ({status}: {said}){hint}")

    def _adapt(self, said: str, sent: Mapping[str, Any]) -> bool:
        """Whether a refused request can be said otherwise and mean the same; if so, all later ones are."""
        if "max_tokens" in sent and "max_completion_tokens" in said:
            self._limit = "max_completion_tokens"
            return True
        # Reasoning models refuse even to be told the values that they have anyway.
        needless = {name for name in ("temperature", "top_p") if sent.get(name) == 1 and name in said}
        self._unsent |= needless
        return bool(needless)

    def _read(self, content: bytes, seconds: float) -> Completion:
        try:
            reply = json.loads(content)
            choice = reply["choices"][0]
            message = choice["message"]
            answer = message.get("content") or message.get("refusal") or ""
            thought = message.get("reasoning_content") or message.get("reasoning") or ""
            finish = str(choice["finish_reason"])
            if not isinstance(answer, str) or not isinstance(thought, str):
                raise TypeError
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise _PassingError(f"a body that is no answer ({self._clean(content)})", billed=True) from None
        secret = self._secret()
        if len(secret) >= SHORTEST_KEY:
            # A server may repeat what it was sent, and an answer is stored.
            answer, thought, finish = (said.replace(secret, "[key]") for said in (answer, thought, finish))
        usage = reply.get("usage") or {}
        prompt_tokens, tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not isinstance(prompt_tokens, int) or not isinstance(tokens, int):
            raise _Refused(
                "the server does not count tokens (no usage in its answer), and here nothing is estimated: switch "
                "its counts on",
                billed=True,
            )
        if thought:
            answer = f"<think>\n{thought}" + (f"\n</think>\n\n{answer}" if answer or finish == "stop" else "")
        cost = self._ledger.cost(prompt_tokens, tokens)
        return Completion(answer, tokens, _FINISH.get(finish, finish), prompt_tokens, seconds, cost)

    def _secret(self) -> str:
        return os.environ.get(self._options.key_variable, "").strip()

    def _host(self) -> str:
        """The server, as messages name it."""
        parts = urlsplit(self._base_url or "https://api.openai.com/v1")
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def _clean(self, said: Any) -> str:
        """One short line of what a server said, which may repeat the key that it was given."""
        if isinstance(said, bytes):
            said = said.decode("utf-8", "replace")
        if isinstance(said, dict):
            said = said.get("message") or said
        text = str(said)
        if self._secret():
            text = text.replace(self._secret(), "[key]")
        return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))[:300]


class _Refused(Exception):
    """What will not pass, in the user's words."""

    def __init__(self, reason: str, *, billed: bool = False) -> None:
        super().__init__(reason)
        self.billed = billed


class _Adapted(Exception):
    """The request was refused for how it is said, and is to be said again."""


def _pause(attempt: int, wait: float | None) -> float:
    """Seconds before the next try: what the server asks for, or ever longer; with jitter, so that not all come back
    at once."""
    longest = min(LONGEST_BACKOFF_SECONDS, BACKOFF_SECONDS * 2**attempt)
    if wait is not None:
        return wait + random.uniform(0, BACKOFF_SECONDS)
    return random.uniform(longest / 2, longest)


def _retry_after(headers: Any) -> float | None:
    """Seconds that the server asks to wait, given as a number or as a date."""
    from email.utils import parsedate_to_datetime

    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = headers.get(name)
        if said is None:
            continue
        try:
            return max(0.0, float(said) * unit)
        except ValueError:
            try:
                return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
            except ValueError:
                continue
    return None
