"""What requests to servers cost, and a cap that no combination of processes can overshoot.

Before a request is sent, its worst case is set aside: a token per byte of prompt, and all of `max_tokens`. So the sum
of what is spent and what is in flight never passes the cap, and a request that could pass it is not sent. When the
answer comes, the exact price takes the place of the worst case. A request whose answer was lost (a time-out, a
connection that broke, a process that was killed) may have been billed, so its worst case stays in the books.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache

import psutil

from longthought.engines.cache import Database, store, stored
from longthought.engines.protocol import Completion
from longthought.errors import UserError

# Tokens that a chat template may add to the prompt: marks of turns, a default system prompt.
TEMPLATE_TOKENS = 256


@dataclass(frozen=True)
class Price:
    """US dollars per million prompt tokens and output tokens."""

    prompt: float
    output: float

    def of(self, prompt_tokens: int, output_tokens: int) -> float:
        """US dollars."""
        return (prompt_tokens * self.prompt + output_tokens * self.output) / 1e6

    def at_most(self, text: str, max_tokens: int) -> float:
        """US dollars that a request costs at most: no token of a byte-level tokenizer is shorter than a byte."""
        return self.of(len(text.encode("utf-8", "replace")) + TEMPLATE_TOKENS, max_tokens)


@dataclass(frozen=True)
class Totals:
    """The ledger's sums: calls by state, tokens of the paid ones, and US dollars.

    `cost` counts paid calls exactly and lost and open ones at their most; `unpriced` calls had no price and are not
    part of it. `cost` is None where no call had one.
    """

    paid: int
    lost: int
    open: int
    unpriced: int
    prompt_tokens: int
    output_tokens: int
    cost: float | None


class Ledger:
    """The calls of one cache folder, booked under `model`. `cap` in US dollars holds for all models together."""

    def __init__(self, db: Database, model: str, price: Price | None, cap: float | None) -> None:
        self._db, self._model, self._price, self._cap = db, model, price, cap

    def claim(self, key: str, text: str, max_tokens: int) -> Completion | int | None:
        """The right to send a request, as the number of its call; or its answer, if somebody has it by now; or None,
        to be asked again, while the same request or too much money is in flight.

        Raises UserError when the request could cost more than what is left under the cap.
        """
        worst = self._price.at_most(text, max_tokens) if self._price else None
        with self._db.writing() as connection:
            answer = stored(self._db, key)
            if answer:
                return answer
            for (owner,) in connection.execute("SELECT DISTINCT owner FROM calls WHERE state = 'open'").fetchall():
                if not _alive(owner):
                    connection.execute("UPDATE calls SET state = 'lost' WHERE state = 'open' AND owner = ?", (owner,))
            if self._db.rows("SELECT 1 FROM calls WHERE key = ? AND state = 'open'", key):
                return None
            if self._cap is not None and worst is not None:
                sums = "SELECT state = 'open', TOTAL(cost) FROM calls GROUP BY state = 'open'"
                held = dict(connection.execute(sums).fetchall())
                if held.get(0, 0.0) + worst > self._cap:
                    raise UserError(self._refusal(worst))
                if held.get(0, 0.0) + held.get(1, 0.0) + worst > self._cap:
                    return None
            row = (key, self._model, _me(), time.time(), worst)
            insert = "INSERT INTO calls (key, model, owner, time, state, cost) VALUES (?, ?, ?, ?, 'open', ?)"
            return connection.execute(insert, row).lastrowid

    def settle(self, call: int, key: str, completion: Completion) -> None:
        """Keep the answer and book its tokens and its exact price, in one transaction."""
        with self._db.writing() as connection:
            store(connection, key, completion)
            connection.execute(
                "UPDATE calls SET state = 'paid', prompt_tokens = ?, output_tokens = ?, cost = ? WHERE id = ?",
                (completion.prompt_tokens, completion.tokens, completion.cost, call),
            )

    def give_up(self, call: int, billed: bool) -> None:
        """Book a call that brought no answer: at its worst case if it may have been billed, otherwise not at all."""
        with self._db.writing() as connection:
            if billed:
                connection.execute("UPDATE calls SET state = 'lost' WHERE id = ?", (call,))
            else:
                connection.execute("DELETE FROM calls WHERE id = ?", (call,))

    def cost(self, prompt_tokens: int, output_tokens: int) -> float | None:
        """US dollars of one call; None without a price."""
        return self._price.of(prompt_tokens, output_tokens) if self._price else None

    def totals(self) -> Totals:
        """The sums over all calls of the folder."""
        query = (
            "SELECT TOTAL(state = 'paid'), TOTAL(state = 'lost'), TOTAL(state = 'open'), TOTAL(cost IS NULL),"
            " TOTAL(prompt_tokens), TOTAL(output_tokens), SUM(cost) FROM calls"
        )
        paid, lost, under_way, unpriced, prompt_tokens, output_tokens, cost = self._db.rows(query)[0]
        return Totals(int(paid), int(lost), int(under_way), int(unpriced), int(prompt_tokens), int(output_tokens), cost)

    def _refusal(self, worst: float) -> str:
        totals = self.totals()
        lost = f", {totals.lost} of them lost and counted at their most" if totals.lost else ""
        unpriced = f"; {totals.unpriced} calls had no price and are not in it" if totals.unpriced else ""
        return (
            f"{self._model}: ${totals.cost or 0:.4f} of the cap of ${self._cap:.4f} are spent on "
            f"{totals.paid + totals.lost} calls{lost}{unpriced}, and the next request could cost ${worst:.4f}: "
            "raise max_cost to go on; every answer so far is kept and will not be asked for again"
        )


@cache
def _started(pid: int) -> float:
    return psutil.Process(pid).create_time()


def _me() -> str:
    """This process, such that a later one with the same number is not taken for it."""
    return f"{os.getpid()} {_started(os.getpid())}"


def _alive(owner: str) -> bool:
    pid, started = owner.split()
    try:
        process = psutil.Process(int(pid))
        return abs(process.create_time() - float(started)) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
