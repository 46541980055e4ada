# pyright: basic, reportMissingImports=false
# It is installed for the measurements alone, and its own types leave much open.
"""Locust users that look accounts up with psycopg, one connection each, as fast as they can.

The server is found by libpq's own variables. The statement is prepared on the server, and its
one row is fetched; time and outcome are told in Locust's own way. At the end the process that
leads the others prints what all of them have counted.
"""

import json
import random
from time import perf_counter

import psycopg
from locust import User, events, task
from locust.env import Environment
from locust.runners import MasterRunner

ACCOUNTS = 100_000
STATEMENT = "SELECT abalance FROM pgbench_accounts WHERE aid = %s"
MS_PER_S = 1_000


class Person(User):
    """Someone who looks up one account after the other."""

    def on_start(self) -> None:
        """Connect."""
        self.connection = psycopg.connect(autocommit=True)

    def on_stop(self) -> None:
        """Leave."""
        self.connection.close()

    @task
    def look_up(self) -> None:
        """One lookup."""
        account = random.randint(1, ACCOUNTS)  # noqa: S311 - a load, not a secret
        began = perf_counter()
        row = self.connection.execute(STATEMENT, (account,), prepare=True).fetchone()
        self.environment.events.request.fire(
            request_type="SELECT",
            name="lookup",
            response_time=(perf_counter() - began) * MS_PER_S,
            response_length=0 if row is None else 1,
            exception=None,
            context={},
        )


@events.quitting.add_listener
def tell(environment: Environment, **_: object) -> None:
    """Print how many requests there were in each second."""
    if isinstance(environment.runner, MasterRunner):
        total = environment.runner.stats.total
        told = {
            "failures": total.num_failures,
            "requests_per_s": [count for _, count in sorted(total.num_reqs_per_sec.items())],
        }
        print(json.dumps(told), flush=True)
