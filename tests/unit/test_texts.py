"""The files of `prompts/` as sources: what they may do, and what they may name."""

import jinja2
import pytest
from jinja2 import nodes

from benchgate.gate.blocks import FILTERS
from tests.unit.texts import sources

SAFE_NAMES = {"summary_uri", "series_uri", "log_file"}
SAFE_OWNERS = {"tool", "guide"}
STATEMENTS = (
    nodes.Template,
    nodes.Output,
    nodes.If,
    nodes.For,
    nodes.Include,
    nodes.Assign,
    nodes.Expr,
    nodes.Keyword,
    nodes.Pair,
    nodes.Operand,
)


def is_safe(expression: nodes.Node) -> bool:
    """Whether what *expression* prints has been made safe, or is ours."""
    match expression:
        case nodes.TemplateData() | nodes.Const():
            return True
        case nodes.CondExpr():
            otherwise = expression.expr2
            return is_safe(expression.expr1) and otherwise is not None and is_safe(otherwise)
        case nodes.Filter():
            return expression.name in {*FILTERS} - {"kind"}
        case nodes.Getattr():
            return isinstance(expression.node, nodes.Name) and expression.node.name in SAFE_OWNERS
        case nodes.Name():
            return expression.name in SAFE_NAMES
        case _:
            return False


@pytest.mark.parametrize(("path", "source"), sources().items(), ids=[*sources()])
def test_whatever_a_template_prints_passes_through_a_filter(path: str, source: str) -> None:
    tree = jinja2.Environment().parse(source)
    printed = [node for output in tree.find_all(nodes.Output) for node in output.nodes]
    assert [node for node in printed if not is_safe(node)] == []


@pytest.mark.parametrize(("path", "source"), sources().items(), ids=[*sources()])
def test_a_template_has_no_logic_but_if_for_and_include(path: str, source: str) -> None:
    tree = jinja2.Environment().parse(source)
    assert [node for node in tree.find_all(nodes.Node) if not isinstance(node, STATEMENTS)] == []
