"""The engine for servers when things go wrong: faults on the way, a killed process, two at once, an empty purse."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import faulty_proxy
import vllm_server
from faulty_proxy import FAULTS, RETRY_AFTER, WASTED
from longthought.engines import Sampling, served
from longthought.engines.cache import FILE, Database
from longthought.engines.choose import open_engine
from longthought.engines.ledger import Ledger, Price
from longthought.engines.options import EngineOptions
from longthought.errors import UserError
from longthought.models import SMOLLM2
from small_server import QuietHandler, error, listening

SPEC = f"openai:{SMOLLM2}"
SAMPLING = Sampling(max_tokens=3, temperature=1.0, seed=2)
SECRET = "sk-very-secret-0123456789"
PRICED = {"price_in": 1000.0, "price_out": 10000.0}


@pytest.fixture(
    scope="module",
    params=[
        "small server",
        pytest.param(
            "vllm server", marks=pytest.mark.skipif(not vllm_server.installed(), reason=vllm_server.NEEDS_VLLM)
        ),
    ],
)
def upstream(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("small_url" if request.param == "small server" else "vllm_url"))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "BACKOFF_SECONDS", 0.05)


def prompts(count: int) -> list[str]:
    return [f"Say the number {i}." for i in range(count)]


def opened(url: str, folder: Path, **options: Any) -> Any:
    return open_engine(SPEC, EngineOptions(base_url=url, cache=folder, **({"timeout": 60} | options)))


def texts(answers: Any) -> list[str]:
    return [c.text for row in answers for c in row]


def test_no_fault_loses_or_changes_an_answer_or_pays_it_twice(upstream, tmp_path):
    asked = prompts(len(FAULTS) + 2)
    plain = opened(upstream, tmp_path / "plain").generate(asked, SAMPLING)
    with faulty_proxy.running(upstream, FAULTS) as proxy:
        engine = opened(proxy.url, tmp_path / "paid", timeout=8, concurrency=8, **PRICED)
        answers = engine.generate(asked, SAMPLING)
        assert texts(answers) == texts(plain)
        assert sorted(proxy.faults) == sorted(FAULTS)
        assert set(proxy.passed.values()) == {1} and len(proxy.passed) == len(asked)
        totals = engine.totals()
        assert (totals.paid, totals.open) == (len(asked), 0)
        # Those that may have been billed stay in the books; a refusal costs nothing.
        assert totals.lost == sum(f in (*WASTED, "hangs", "reset before", "garbage", "html") for f in FAULTS)
        assert totals.output_tokens == sum(c.tokens for row in answers for c in row)
        slow_down = [
            t for number, t in enumerate(proxy.times.values()) if FAULTS[number:][:1] == ("429 with Retry-After",)
        ]
        assert slow_down[0][1] - slow_down[0][0] >= RETRY_AFTER
        before = sum(proxy.tries.values())
        assert engine.generate(asked, SAMPLING) == answers and sum(proxy.tries.values()) == before


def test_never_more_at_once_than_allowed(upstream, tmp_path):
    with faulty_proxy.running(upstream, delay=0.1) as proxy:
        opened(proxy.url, tmp_path, concurrency=3).generate(prompts(9), SAMPLING)
        assert proxy.most_under_way == 3


def test_a_server_that_stays_away_is_one_line(tmp_path):
    nowhere = f"http://127.0.0.1:{vllm_server.free_port()}/v1"
    engine = opened(nowhere, tmp_path, retries=2, **PRICED)
    with pytest.raises(UserError, match=r"no answer from 127.0.0.1:\d+ after 3 tries .*no connection"):
        engine.generate(prompts(2), SAMPLING)
    assert engine.totals().lost == 0


CHILD = """
import sys
from pathlib import Path
from longthought.engines import Sampling
from longthought.engines.choose import open_engine
from longthought.engines.options import EngineOptions
url, folder, count, cap = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
prices = {"price_in": 1000.0, "price_out": 10000.0, "max_cost": cap} if cap else {}
options = EngineOptions(base_url=url, cache=folder, concurrency=2, timeout=60, **prices)
engine = open_engine("openai:smollm2-135m", options)
answers = engine.generate([f"Say the number {i}." for i in range(count)], Sampling(3, temperature=1.0, seed=2))
print("\\x1e".join(c.text for row in answers for c in row), end="")
"""


def child(url: str, folder: Path, count: int, cap: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(folder), str(count), str(cap)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_run_goes_on_where_it_was(upstream, tmp_path):
    count = 16
    plain = opened(upstream, tmp_path / "plain").generate(prompts(count), SAMPLING)
    with faulty_proxy.running(upstream, delay=0.1) as proxy:
        first = child(proxy.url, tmp_path / "paid", count)
        wait_until(lambda: len(proxy.passed) >= count // 2)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        kept = sqlite3.connect(tmp_path / "paid" / FILE).execute("SELECT COUNT(*) FROM answers").fetchone()[0]
        assert count // 2 - 2 <= kept < count
        # What was still on its way when the process died reaches the proxy, not the process.
        wait_until(lambda: proxy.under_way == 0)
        sent = sum(proxy.tries.values())
        engine = opened(proxy.url, tmp_path / "paid")
        assert texts(engine.generate(prompts(count), SAMPLING)) == texts(plain)
        assert sum(proxy.tries.values()) - sent == count - kept
        totals = engine.totals()
        assert (totals.paid, totals.open) == (count, 0) and totals.lost == sent - kept <= 2


def test_two_processes_share_one_cache_and_pay_once(upstream, tmp_path):
    with faulty_proxy.running(upstream, delay=0.05) as proxy:
        both = [child(proxy.url, tmp_path / "paid", 8) for _ in range(2)]
        said = [one.communicate(timeout=120) for one in both]
        assert [one.returncode for one in both] == [0, 0], said
        assert said[0][0] == said[1][0] and said[0][0].count("\x1e") == 7
        assert set(proxy.tries.values()) == {1} and len(proxy.tries) == 8


def test_an_interrupted_run_keeps_what_it_has(upstream, tmp_path):
    with faulty_proxy.running(upstream, delay=0.1) as proxy:
        first = child(proxy.url, tmp_path / "paid", 12)
        wait_until(lambda: len(proxy.passed) >= 4)
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
        assert first.returncode != 0
        engine = opened(proxy.url, tmp_path / "paid")
        kept = engine.totals().paid
        assert kept + 2 >= 4 and engine.totals().open == 0
        engine.generate(prompts(12), SAMPLING)
        assert engine.totals().paid == 12


def test_the_cap_is_never_passed_and_a_higher_one_goes_on(upstream, tmp_path):
    price = Price(PRICED["price_in"], PRICED["price_out"])
    with faulty_proxy.running(upstream, delay=0.05) as proxy:
        capped = opened(proxy.url, tmp_path, concurrency=8, max_cost=1.0, **PRICED)
        with pytest.raises(UserError) as refusal:
            capped.generate(prompts(20), SAMPLING)
        said = str(refusal.value)
        assert "of the cap of $1.0000 are spent" in said and "raise max_cost" in said and "\n" not in said
        spent = capped.totals()
        # Every request that arrived is in the books, nothing is under way, and one more could have passed the cap.
        assert sum(proxy.tries.values()) == spent.paid > 3
        assert (spent.lost, spent.open) == (0, 0)
        worst = price.at_most(json.dumps([{"role": "user", "content": prompts(20)[-1]}]), 3)
        assert 1.0 - worst < spent.cost <= 1.0
        more = opened(proxy.url, tmp_path, concurrency=8, max_cost=100.0, **PRICED)
        answers = more.generate(prompts(20), SAMPLING)
        assert set(proxy.tries.values()) == {1} and len(proxy.tries) == 20
        assert more.totals().cost == pytest.approx(sum(c.cost for row in answers for c in row))


def test_several_processes_cannot_pass_the_cap_together(upstream, tmp_path):
    with faulty_proxy.running(upstream, delay=0.2) as proxy:
        all_of_them = [child(proxy.url, tmp_path, 20, 0.9 + i / 1000) for i in range(3)]
        for one in all_of_them:
            said = one.communicate(timeout=120)[1]
            assert one.returncode != 0 and "raise max_cost" in said
        spent = opened(proxy.url, tmp_path).totals()
        assert spent.cost <= 0.902 and sum(proxy.tries.values()) == spent.paid


def test_what_is_under_way_counts_at_its_worst_until_it_is_settled(tmp_path):
    db = Database(tmp_path)
    ledger = Ledger(db, "m", Price(0.0, 1e6), cap=10.0)
    first = ledger.claim("a", "", 6)
    assert isinstance(first, int)
    assert ledger.claim("b", "", 5) is None, "6 under way and 5 more could be 11"
    assert ledger.claim("a", "", 1) is None, "the same request is under way"
    with pytest.raises(UserError, match="could cost \\$11"):
        ledger.claim("c", "", 11)
    completion = served.Completion("text", 4, "stop", 3, 0.1, 4.0)
    ledger.settle(first, "a", completion)
    assert ledger.claim("a", "", 6) == completion
    second = ledger.claim("b", "", 5)
    assert isinstance(second, int)
    ledger.give_up(second, billed=True)
    with pytest.raises(UserError, match="1 of them lost"):
        ledger.claim("b", "", 2)
    assert ledger.totals().cost == 9.0


def test_a_price_that_is_unknown_is_not_nought(upstream, tmp_path):
    engine = opened(upstream, tmp_path)
    ((one,),) = engine.generate(prompts(1), SAMPLING)
    assert one.cost is None and engine.totals().cost is None and engine.totals().unpriced == 1


def test_the_key_is_sent_and_kept_nowhere(upstream, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    with faulty_proxy.running(upstream, ["503", "garbage"]) as proxy:
        engine = opened(proxy.url, tmp_path, key_variable="MY_KEY", **PRICED)
        answers = engine.generate(prompts(3), SAMPLING)
        assert proxy.keys == {f"Bearer {SECRET}"}
    assert SECRET not in repr(vars(engine)) + repr(answers) + caplog.text

    class Refuses(QuietHandler):
        def do_POST(self) -> None:
            self.body()
            self.reply(401, error(f"Incorrect API key provided: {self.headers['Authorization']}."))

    with listening(Refuses) as root:
        broken = opened(f"{root}/v1", tmp_path, key_variable="MY_KEY")
        with pytest.raises(UserError, match="refused the key in MY_KEY") as refusal:
            broken.generate(prompts(4)[3:], SAMPLING)
    chain: BaseException | None = refusal.value
    while chain is not None:
        assert SECRET not in repr(chain) + str(vars(chain))
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    for file in tmp_path.rglob("*"):
        assert SECRET.encode() not in file.read_bytes()


def test_a_key_with_a_line_break_at_its_end_is_sent_without_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", SECRET + "\n")
    arrived: list[str] = []

    class Echoes(QuietHandler):
        """Repeats what it was sent, in an answer and in what is none."""

        def do_POST(self) -> None:
            arrived.append(self.headers["Authorization"])
            if "number 1" in self.body().decode():
                return self.reply(200, b"x" * 190 + arrived[-1].encode())
            message = {"content": f"You sent {arrived[-1]}", "reasoning_content": f"Key: {arrived[-1]}"}
            choice = {"message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 9, "completion_tokens": 7}
            return self.reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())

    with listening(Echoes) as root:
        engine = opened(f"{root}/v1", tmp_path, key_variable="MY_KEY", retries=0)
        answers = engine.generate(prompts(1), SAMPLING)
        with pytest.raises(UserError, match="no answer") as failure:
            engine.generate(prompts(2)[1:], SAMPLING)
    assert set(arrived) == {f"Bearer {SECRET}"}
    assert texts(answers) == ["<think>\nKey: Bearer [key]\n</think>\n\nYou sent Bearer [key]"]
    # Not even the beginning of a key that is cut off.
    assert SECRET[:12] not in str(failure.value) and "[key]" in str(failure.value)
    assert not [f for f in tmp_path.rglob("*") if SECRET.encode() in f.read_bytes()]


@pytest.mark.parametrize("key", ["sk-one-two\nsk-three-four", "sk-\x7f-one-two", "sk-schl\u00fcssel"])
def test_what_can_be_no_key_is_refused_unseen_and_before_anything_is_made(key, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(UserError, match="MY_KEY holds a line break or another character") as refusal:
        opened("http://127.0.0.1:1/v1", tmp_path / "paid", key_variable="MY_KEY")
    assert key[:5] not in str(refusal.value) and "\n" not in str(refusal.value)
    assert not (tmp_path / "paid").exists()


@pytest.mark.parametrize("short", ["x", "EMPTY"])
def test_a_word_in_place_of_a_key_leaves_answers_as_they_are(short, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", short)

    class Answers(QuietHandler):
        def do_POST(self) -> None:
            self.body()
            choice = {"message": {"content": "x is EMPTY"}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 9, "completion_tokens": 7}
            self.reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())

    with listening(Answers) as root:
        assert texts(opened(f"{root}/v1", tmp_path).generate(prompts(1), SAMPLING)) == ["x is EMPTY"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": "coda"}, "device is 'coda': choose cpu, cuda"),
        ({"device": "cuda:x"}, "choose cpu, cuda"),
        ({"dtype": "bogus"}, "dtype is 'bogus': choose float32"),
        ({"timeout": float("nan")}, "timeout is nan: a finite number"),
        ({"memory": float("nan")}, "memory is nan"),
        ({"price_in": float("inf"), "price_out": 1.0}, "price_in is inf"),
        (PRICED | {"max_cost": float("nan")}, "max_cost is nan"),
        ({"base_url": "http://me:hunter2@host/v1"}, "holds a name or a password"),
        ({"base_url": "http://host:port/v1"}, "the base URL is no URL"),
        ({"base_url": "http://[::1/v1"}, "the base URL is no URL"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(change, said):
    with pytest.raises(UserError, match=said) as refusal:
        EngineOptions(**change)
    assert "hunter2" not in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_password_in_the_url_of_the_environment_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hunter2@127.0.0.1:1/v1")
    with pytest.raises(UserError, match="holds a name or a password"):
        open_engine(SPEC, EngineOptions(cache=tmp_path / "paid"))
    assert not (tmp_path / "paid").exists()


def test_a_full_disk_is_one_line_and_what_was_paid_for_stays(tmp_path):
    db = Database(tmp_path)
    ledger = Ledger(db, "m", None, None)
    completion = served.Completion("text", 4, "stop", 3, 0.1, None)
    ledger.settle(ledger.claim("a", "", 6), "a", completion)
    pages = db.rows("PRAGMA page_count")[0][0]
    db.rows(f"PRAGMA max_page_count = {pages}")
    second = ledger.claim("b", "", 6)
    with pytest.raises(UserError, match=r"cannot be written to .*full"):
        ledger.settle(second, "b", replace(completion, text="long" * 10_000))
    db.rows("PRAGMA max_page_count = 100000")
    assert ledger.claim("a", "", 6) == completion and ledger.totals().paid == 1


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (400, "your prompt is too long", "refused the request \\(400: your prompt is too long\\)"),
        (400, "Unrecognized request argument: continue_final_message", 'set continuation to "turn"'),
        (401, "who are you", "refused a request without a key"),
        (403, "not you", "refused a request without a key"),
        (404, "no such model", "knows no such model or path"),
        (429, "insufficient_quota", "lets nobody in"),
    ],
)
def test_what_will_not_pass_is_said_once(status, said, expected, tmp_path):
    arrived: list[str] = []

    class Refuses(QuietHandler):
        def do_POST(self) -> None:
            self.body()
            arrived.append(self.path)
            self.reply(status, error(said, code=said))

    with listening(Refuses) as root, pytest.raises(UserError, match=expected):
        opened(f"{root}/v1", tmp_path, concurrency=1).generate(prompts(3), SAMPLING)
    assert len(arrived) == 1


def test_a_reasoning_model_is_asked_as_it_wants_and_its_thought_is_kept(tmp_path):
    asked: list[dict[str, Any]] = []

    class Reasons(QuietHandler):
        """Refuses what OpenAI's reasoning models refuse, in their words."""

        def do_POST(self) -> None:
            body = json.loads(self.body())
            asked.append(body)
            if "max_tokens" in body:
                said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
                return self.reply(400, error(said, param="max_tokens"))
            if "temperature" in body or "top_p" in body:
                name = "temperature" if "temperature" in body else "top_p"
                return self.reply(400, error(f"Unsupported value: '{name}' does not support 1.0 with this model."))
            message = {"content": "\\boxed{4}", "reasoning_content": "2 and 2"}
            choice = {"message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 9, "completion_tokens": 7}
            return self.reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())

    with listening(Reasons) as root:
        engine = opened(f"{root}/v1", tmp_path, extra_body={"reasoning_effort": "high"}, **PRICED)
        answers = engine.generate(prompts(5), SAMPLING)
    assert texts(answers) == ["<think>\n2 and 2\n</think>\n\n\\boxed{4}"] * 5
    assert asked[-1]["max_completion_tokens"] == 3 and asked[-1]["reasoning_effort"] == "high"
    assert engine.totals().paid == 5 and engine.totals().lost == 0


def test_answers_without_counts_are_refused(tmp_path):
    class Mute(QuietHandler):
        def do_POST(self) -> None:
            self.body()
            self.reply(200, b'{"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}]}')

    with listening(Mute) as root:
        engine = opened(f"{root}/v1", tmp_path, **PRICED)
        with pytest.raises(UserError, match="does not count tokens"):
            engine.generate(prompts(1), SAMPLING)
    assert engine.totals().lost == 1


def test_a_server_without_continuation_is_asked_in_a_further_turn(upstream, tmp_path):
    with faulty_proxy.running(upstream) as proxy:
        opened(proxy.url, tmp_path, continuation="turn").generate(prompts(1), SAMPLING, prefixes=[["One, two"]])
        (said,) = proxy.tries
    assert [m["role"] for m in json.loads(said)["messages"]] == ["user", "assistant", "user"]
    assert "continue_final_message" not in said


def test_the_key_of_an_answer_is_its_content_and_nothing_else(upstream, tmp_path):
    with faulty_proxy.running(upstream) as proxy:
        engine = opened(proxy.url, tmp_path)
        engine.generate(prompts(1), SAMPLING)
        for other in (replace(SAMPLING, seed=3), replace(SAMPLING, max_tokens=4), replace(SAMPLING, top_p=0.5),
                      replace(SAMPLING, stop=("z",)), replace(SAMPLING, temperature=0.5)):  # fmt: skip
            engine.generate(prompts(1), other)
        assert len(proxy.tries) == 6
        engine.generate(prompts(1), replace(SAMPLING, samples=2))
        assert len(proxy.tries) == 7, "the first of two samples is known"
        moved = opened(upstream.replace("127.0.0.1", "localhost"), tmp_path, concurrency=3, retries=1, **PRICED)
        moved.generate(prompts(1), SAMPLING)
        assert moved.totals().paid == 7 and len(proxy.tries) == 7
    with pytest.raises(UserError, match="lone surrogate"):
        engine.generate(["\ud800"], SAMPLING)


def test_another_version_s_cache_is_left_alone(tmp_path):
    Database(tmp_path)
    sqlite3.connect(tmp_path / FILE).execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match="another version"):
        Database(tmp_path)


def test_many_processes_may_open_a_new_cache_at_once(tmp_path):
    code = "import sys, pathlib, longthought.engines.cache as c; c.Database(pathlib.Path(sys.argv[1]))"
    many = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "new")], env=os.environ) for _ in range(6)]
    assert [one.wait(timeout=60) for one in many] == [0] * 6
