"""What every value of the domain has in common; knows no particular one."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"

RunId = Annotated[str, Field(pattern=ID_PATTERN, description="Run id from create_run")]
TemplateId = Annotated[
    str, Field(pattern=ID_PATTERN, description="Template id from list_templates")
]
ComparisonId = Annotated[
    str, Field(pattern=ID_PATTERN, description="Comparison id from create_comparison")
]
Percentage = Annotated[float, Field(ge=0, le=100)]


class Value(BaseModel):
    """An immutable value; fields that it does not know are dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
