"""The files of `prompts/` as sources: what they may do, and what they may name."""

from collections.abc import Container

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


def is_safe(expression: nodes.Node, own: Container[str] = ()) -> bool:
    """Whether what *expression* prints has been made safe, or is ours, like the names in *own*."""
    match expression:
        case nodes.TemplateData() | nodes.Const():
            return True
        case nodes.CondExpr():
            otherwise = expression.expr2
            parts = (expression.expr1, otherwise)
            return all(part is not None and is_safe(part, own) for part in parts)
        case nodes.Filter():
            return expression.name in {*FILTERS} - {"kind"}
        case nodes.Getattr():
            return isinstance(expression.node, nodes.Name) and expression.node.name in SAFE_OWNERS
        case nodes.Name():
            return expression.name in SAFE_NAMES or expression.name in own
        case _:
            return False


def own_names(tree: nodes.Template) -> set[str]:
    """The names that *tree* sets, and to nothing but what is safe."""
    assigns = [each for each in tree.find_all(nodes.Assign) if is_safe(each.node)]
    safe = [each.target for each in assigns if isinstance(each.target, nodes.Name)]
    stored = [each for each in tree.find_all(nodes.Name) if each.ctx == "store"]
    return {each.name for each in safe} - {each.name for each in stored if each not in safe}


@pytest.mark.parametrize(("path", "source"), sources().items(), ids=[*sources()])
def test_whatever_a_template_prints_passes_through_a_filter(path: str, source: str) -> None:
    tree = jinja2.Environment().parse(source)
    printed = [node for output in tree.find_all(nodes.Output) for node in output.nodes]
    own = own_names(tree)
    assert [node for node in printed if not is_safe(node, own)] == []


@pytest.mark.parametrize(("path", "source"), sources().items(), ids=[*sources()])
def test_a_template_has_no_logic_but_if_for_and_include(path: str, source: str) -> None:
    tree = jinja2.Environment().parse(source)
    assert [node for node in tree.find_all(nodes.Node) if not isinstance(node, STATEMENTS)] == []
