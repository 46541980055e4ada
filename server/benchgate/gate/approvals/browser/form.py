"""What a form of the page brings: read within bounds, and refused where it is ambiguous."""

from urllib.parse import parse_qsl

import anyio
from pydantic import Field, SecretStr
from starlette.requests import ClientDisconnect, Request

from benchgate.domain.values import Value
from benchgate.errors import InvalidInput

BODY_BYTES_MAX = 8_192
BODY_SECONDS_MAX = 10
FIELDS_MAX = 10
FORM_TYPE = "application/x-www-form-urlencoded"


class Form(Value):
    """The fields as they were sent; one that is missing is empty."""

    decision: str = ""
    mode: str = ""
    note: str = ""
    typed_name: str = ""
    pin: SecretStr = SecretStr("")
    csrf: str = Field(default="", repr=False)


async def read_form(request: Request) -> Form:
    """The form that *request* brings.

    Raises:
        InvalidInput: it is none, too large, too slow, or has a field twice.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise InvalidInput("This is not the page's own form.")
    try:
        with anyio.fail_after(BODY_SECONDS_MAX):
            body = await _read(request)
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except TimeoutError:
        raise InvalidInput("The form did not arrive in time.") from None
    except (ClientDisconnect, ValueError) as exc:
        raise InvalidInput("The form cannot be read.") from exc
    values = dict(fields)
    if len(values) != len(fields):
        raise InvalidInput("A field of the form came twice.")
    return Form.model_validate(values)


async def _read(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise InvalidInput(f"The form is larger than {BODY_BYTES_MAX:,} bytes.")
    return body
