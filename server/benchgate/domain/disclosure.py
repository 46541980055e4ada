"""What of a value may be shown as JSON: texts bounded and on one line, and never a secret.

A template keeps whatever keys its backend has, so what is secret is told by the name of a key,
and by what a text looks like.
"""

import json
import re
from typing import cast

from pydantic import BaseModel, JsonValue

from benchgate.domain.text import ELLIPSIS, one_line

TEXT_CHARACTERS_MAX = 2_000
KEY_CHARACTERS_MAX = 120
ITEMS_MAX = 100
DEPTH_MAX = 8

SECRET_KEY = re.compile(
    r"pass(?:word|wd|phrase|file)|pwd|secret|credential|authorization|bearer|"
    r"(?:^|[^a-z])(?:dsn|pat|auth|jwt|cookie)(?:[^a-z]|$)|token|"
    r"(?:private|api|access|signing|encryption)[-_ ]?key|connection[-_ ]?(?:string|uri|url)",
    re.IGNORECASE,
)
CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Who one is, within an address: up to its last @, for a password may hold any other sign.
USER_INFO = re.compile(r"(?<=://)\S{0,1000}@")
ASSIGNED_SECRET = re.compile(
    r"((?:password|passwd|pwd|secret|token|passphrase|api[-_]?key)"
    r"[\"']?(?:\s{0,4}[=:]\s{0,4}|\s{1,4}(?=['\"])))"
    r"(?:'[^']*'?|\"[^\"]*\"?|[^\s;,&]+)",
    re.IGNORECASE,
)
KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL)
MASK = "***"


def disclosed(value: BaseModel) -> str:
    """*value* as JSON, without nulls and without what is secret; the keys in their order."""
    data = cast("JsonValue", value.model_dump(mode="json", exclude_none=True))
    return json.dumps(_shown(data, DEPTH_MAX), ensure_ascii=False, indent=2)


def _shown(value: JsonValue, depth: int) -> JsonValue:
    if isinstance(value, str):
        return masked(value)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return ELLIPSIS
    if isinstance(value, list):
        items = [_shown(item, depth - 1) for item in value[:ITEMS_MAX]]
        return [*items, _more(len(value))] if len(value) > ITEMS_MAX else items
    named = [(key, inner) for key, inner in value.items() if not _is_secret(key)]
    shown: dict[str, JsonValue] = {
        one_line(key, KEY_CHARACTERS_MAX): _shown(inner, depth - 1)
        for key, inner in named[:ITEMS_MAX]
    }
    return shown | ({ELLIPSIS: _more(len(named))} if len(named) > ITEMS_MAX else {})


def _is_secret(key: str) -> bool:
    return SECRET_KEY.search(CAMEL_HUMP.sub("_", key)) is not None


def masked(text: str) -> str:
    """*text* on one line of at most `TEXT_CHARACTERS_MAX`, with what looks secret in it masked."""
    # Masked before it is cut, so that no half of a secret is left over; read no more than needed.
    known = KEY_BLOCK.sub(MASK, text[: TEXT_CHARACTERS_MAX * 4])
    told = ASSIGNED_SECRET.sub(rf"\1{MASK}", USER_INFO.sub(f"{MASK}@", known))
    return one_line(told, TEXT_CHARACTERS_MAX)


def _more(count: int) -> str:
    return f"{ELLIPSIS} {count - ITEMS_MAX} more"
