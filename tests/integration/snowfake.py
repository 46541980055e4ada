"""A stand-in for Snowflake that the real connector talks to over HTTP, in a process of its own.

It is fakesnow's server, which executes on DuckDB, with what a load needs beyond that: statements
about sessions, warehouses and queries, statements that take time and can be cancelled, refused
logins, and DuckDB's refusals in Snowflake's numbers. What is added here follows Snowflake's
documentation; nothing of it was compared with Snowflake itself.

    python -m tests.integration.snowfake      prints the port that it listens on
"""

import asyncio
import gzip
import importlib
import itertools
import json
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import duckdb
import jwt
import sqlglot
import uvicorn
from snowflake.connector.errors import ProgrammingError
from sqlglot.errors import ParseError
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.integration.snowflakes import PASSWORD

# Without types, because much of what is used here is private to them.
server: Any = importlib.import_module("fakesnow.server")
FakeCursor: Any = importlib.import_module("fakesnow.cursor").FakeSnowflakeCursor


@dataclass
class Login:
    """A session and what it was opened with."""

    session_id: int
    parameters: dict[str, Any]
    user: str
    statements: list[str] = field(default_factory=list[str])


@dataclass
class UnderWay:
    """A statement that takes time."""

    login: Login
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


logins: dict[str, Login] = {}
under_way: dict[str, UnderWay] = {}
numbers = itertools.count(1_001)


def app() -> Any:
    """fakesnow's application with our own routes before its own."""
    word_errors()
    quicken()
    own = [
        Route("/session/v1/login-request", login, methods=["POST"]),
        Route("/queries/v1/query-request", query, methods=["POST"]),
        Route("/queries/v1/abort-request", abort, methods=["POST"]),
    ]
    return Starlette(routes=[*own, *server.routes])


def word_errors() -> None:
    """Let fakesnow's cursor tell broken constraints and conflicts in Snowflake's numbers."""
    execute: Any = FakeCursor.execute

    @wraps(execute)
    def execute_and_word(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return execute(self, *args, **kwargs)
        except duckdb.ConstraintException as exc:
            text = f"Duplicate key value violates unique constraint: {exc}"
            raise ProgrammingError(text, 200001, "22000") from exc
        except duckdb.CatalogException as exc:
            raise ProgrammingError(str(exc), 2002, "42710") from exc
        except duckdb.TransactionException as exc:
            text = "the number of waiters for this lock exceeds the 20 statements limit"
            raise ProgrammingError(text, 625, "57014") from exc

    FakeCursor.execute = execute_and_word


def quicken() -> None:
    """Let fakesnow translate and describe a statement with parameters once, and not every time."""
    transform: Any = FakeCursor._transform
    describe: Any = FakeCursor._describe_last_sql
    transformed: dict[str, Any] = {}
    described: dict[str, Any] = {}

    def transform_once(self: Any, expression: Any, parameters: Any) -> Any:
        if not parameters:
            return transform(self, expression, parameters)
        text = repr(expression)
        if text not in transformed:
            transformed[text] = transform(self, expression, parameters)
        return transformed[text].copy()

    def describe_once(self: Any) -> Any:
        if not self._last_params:
            return describe(self)
        if self._last_sql not in described:
            described[self._last_sql] = describe(self)
        return described[self._last_sql]

    FakeCursor._transform = transform_once
    FakeCursor._describe_last_sql = describe_once


async def body_of(request: Any) -> dict[str, Any]:
    """What the connector has sent."""
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return json.loads(body)


def answer(data: dict[str, Any]) -> Any:
    return JSONResponse({"data": data, "code": None, "message": None, "success": True})


def refusal(code: str, message: str, sqlstate: str = "") -> Any:
    data = {"errorCode": code, "sqlState": sqlstate}
    return JSONResponse({"data": data, "code": code, "message": message, "success": False})


def rows(columns: dict[str, str], *values: tuple[object, ...]) -> Any:
    """A result of *columns* (names and types), as Snowflake sends small ones."""
    rowtype = [
        {"name": name, "type": kind, "nullable": True, "length": 0, "precision": 38, "scale": 0}
        for name, kind in columns.items()
    ]
    rowset = [[None if value is None else str(value) for value in row] for row in values]
    return answer(
        {
            "parameters": [],
            "rowtype": rowtype,
            "rowset": rowset,
            "total": len(rowset),
            "returned": len(rowset),
            "queryId": "00000000-0000-0000-0000-000000000000",
            "queryResultFormat": "json",
            "statementTypeId": 0x1000,
            "numberOfBinds": 0,
        }
    )


async def login(request: Any) -> Any:
    data = (await body_of(request))["data"]
    is_by_key = data.get("AUTHENTICATOR") == "SNOWFLAKE_JWT"
    if not is_by_key and data.get("PASSWORD") != PASSWORD:
        return refusal("390100", "Incorrect username or password was specified.")
    if is_by_key and f".{data['LOGIN_NAME'].upper()}." not in issuer(data["TOKEN"]):
        return refusal("390144", "JWT token is invalid.")
    if request.query_params.get("warehouse") == "NOWHERE":
        return refusal("390201", "The requested warehouse does not exist or not authorized.")
    given = json.loads(bytes((await server.login_request(request)).body))
    token, session_id = given["data"]["token"], next(numbers)
    logins[token] = Login(session_id, data["SESSION_PARAMETERS"], data["LOGIN_NAME"])
    given["data"] |= {"sessionId": session_id, "masterToken": token}
    return answer(given["data"])


def issuer(token: str) -> str:
    return jwt.decode(token, options={"verify_signature": False})["iss"]


async def abort(request: Any) -> Any:
    slow = under_way.get((await body_of(request))["requestId"])
    if slow is not None:
        slow.cancelled.set()
    return answer({})


async def query(request: Any) -> Any:
    token = server.to_token(request)
    session = logins.get(token)
    if session is None or token not in server.sessions:
        return refusal("390111", "Session no longer exists. New login required.")
    body = await body_of(request)
    sql = body["sqlText"]
    session.statements.append(sql)
    if count_of(sql) > 1:
        text = (
            f"Actual statement count {count_of(sql)} did not match the desired statement count 1."
        )
        return refusal("000008", text, "0A000")
    for pattern, handler in HANDLERS.items():
        found = re.search(pattern, sql, re.IGNORECASE)
        if found:
            return await handler(Asked(request, body, session, found))
    return await server.query_request(request)


def count_of(sql: str) -> int:
    """How many statements *sql* holds."""
    if ";" not in sql:
        return 1
    try:
        return len([part for part in sqlglot.parse(sql, read="snowflake") if part is not None])
    except ParseError:
        return 1


@dataclass
class Asked:
    """A statement that fakesnow does not know, or knows otherwise."""

    request: Any
    body: dict[str, Any]
    session: Login
    found: re.Match[str]

    def bound(self) -> list[str]:
        """The values of its parameters."""
        given = self.body["bindings"]
        return [given[str(number)]["value"] for number in range(1, len(given) + 1)]


async def wait(asked: Asked) -> Any:
    """A statement that takes so many seconds, unless it is cancelled."""
    if asked.body.get("describeOnly"):
        return rows({"WAITED": "text"})
    request_id = asked.request.query_params["requestId"]
    slow = under_way[request_id] = UnderWay(asked.session)
    try:
        await asyncio.wait_for(slow.cancelled.wait(), float(asked.found[1]))
    except TimeoutError:
        return rows({"WAITED": "text"}, ("waited",))
    finally:
        del under_way[request_id]
    return refusal("000604", "SQL execution canceled", "57014")


async def history(asked: Asked) -> Any:
    (tag,) = asked.bound()
    found = [
        (slow.login.session_id,)
        for slow in under_way.values()
        if slow.login.parameters["QUERY_TAG"] == tag
        and slow.login.user == asked.session.user
        and not slow.cancelled.is_set()
    ]
    return rows({"SESSION_ID": "fixed"}, *sorted(set(found)))


async def cancel_all(asked: Asked) -> Any:
    slow = [slow for slow in under_way.values() if slow.login.session_id == int(asked.found[1])]
    for one in slow:
        one.cancelled.set()
    return rows({"CANCELLED": "text"}, (f"{len(slow)} cancelled.",))


async def concurrency(asked: Asked) -> Any:
    return rows({"key": "text", "value": "text"}, ("MAX_CONCURRENCY_LEVEL", 8))


async def whereabouts(_: Asked) -> Any:
    columns = {"CURRENT_REGION()": "text", "CURRENT_ACCOUNT()": "text", "CURRENT_ROLE()": "text"}
    return rows(columns, ("NOWHERE_1", "FAKE1", "SYSADMIN"))


async def settings(asked: Asked) -> Any:
    """What the sessions of a tag were opened with; not a statement of Snowflake's."""
    found = [
        (name, value)
        for one in logins.values()
        if one.parameters["QUERY_TAG"] == asked.found[1]
        for name, value in one.parameters.items()
    ]
    return rows({"NAME": "text", "VALUE": "text"}, *found)


async def count_under_way(asked: Asked) -> Any:
    """How many statements of a tag are under way; not Snowflake's either."""
    tags = [slow.login.parameters["QUERY_TAG"] for slow in under_way.values()]
    return rows({"STATEMENTS": "fixed"}, (tags.count(asked.found[1]),))


async def forget(asked: Asked) -> Any:
    """Forget every other session, as after an administrator's word; not Snowflake's either."""
    own = server.to_token(asked.request)
    for token in [token for token in logins if token != own]:
        del logins[token]
    return rows({"FORGOTTEN": "text"})


async def unique_keys(asked: Asked) -> Any:
    columns = {"constraint_name": "text", "key_sequence": "fixed", "column_name": "text"}
    names = [name.replace('""', '"') for name in re.findall(r'"((?:[^"]|"")*)"', asked.found[1])]
    found = duckdb_of(asked).execute(
        "SELECT constraint_name, constraint_column_names FROM duckdb_constraints() WHERE "
        "constraint_type = 'UNIQUE' AND [database_name, schema_name, table_name] = ?",
        [names],
    )
    listed = [
        (name, number, column)
        for name, key in found.fetchall()
        for number, column in enumerate(key, 1)
    ]
    return rows(columns, *listed)


async def create_hybrid(asked: Asked) -> Any:
    """A hybrid table is an ordinary one here."""
    return await rewritten(asked, re.sub(r"HYBRID ", "", asked.body["sqlText"], count=1))


async def clone(asked: Asked) -> Any:
    """fakesnow clones rows without their key."""
    done = await server.query_request(asked.request)
    copy, source = asked.found[1], asked.found[2]
    names = [name.replace('""', '"') for name in re.findall(r'"((?:[^"]|"")*)"', source)]
    keys = duckdb_of(asked).execute(
        "SELECT constraint_column_names FROM duckdb_constraints() WHERE "
        "constraint_type = 'PRIMARY KEY' AND [database_name, schema_name, table_name] = ?",
        [names],
    )
    for (columns,) in keys.fetchall():
        listed = ", ".join(f'"{column}"' for column in columns)
        duckdb_of(asked).execute(f"ALTER TABLE {copy} ADD PRIMARY KEY ({listed})")
    return done


def duckdb_of(asked: Asked) -> Any:
    connection: Any = server.sessions[server.to_token(asked.request)]
    return connection.cursor()._duck_conn


async def rewritten(asked: Asked, sql: str) -> Any:
    body = json.dumps(asked.body | {"sqlText": sql}).encode()
    asked.request._body = gzip.compress(body)
    return await server.query_request(asked.request)


HANDLERS: dict[str, Callable[[Asked], Awaitable[Any]]] = {
    r"SYSTEM\$WAIT\((\d+)\)": wait,
    r"QUERY_HISTORY_BY_USER": history,
    r"SYSTEM\$CANCEL_ALL_QUERIES\((\d+)\)": cancel_all,
    r"^SHOW PARAMETERS LIKE 'MAX_CONCURRENCY_LEVEL'": concurrency,
    r"^SELECT CURRENT_REGION\(\)": whereabouts,
    r"^SHOW UNIQUE KEYS IN TABLE (.*)": unique_keys,
    r"^CREATE HYBRID TABLE": create_hybrid,
    r"^CREATE TRANSIENT TABLE (.*) CLONE (.*)": clone,
    r"^SELECT FAKE\$SETTINGS\('(.*)'\)": settings,
    r"^SELECT FAKE\$UNDER_WAY\('(.*)'\)": count_under_way,
    r"^SELECT FAKE\$FORGET": forget,
}


def main() -> None:
    """Serve until the process is killed."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)  # so that whoever reads the port can connect at once
    logging.disable(logging.CRITICAL)
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - whoever started it reads it
    uvicorn.Server(uvicorn.Config(app(), log_level="critical")).run(sockets=[listening])


if __name__ == "__main__":
    main()
