"""OpenAI grader JSON, which is read only: OpenAI marks its hosted graders as deprecated.

Fields (openai-python 3.57, types/graders): `score_model` {name, model, input[{role, content}], range},
`label_model` {name, model, input, labels, passing_labels}, `string_check` {name, input, reference,
operation}, `text_similarity`, `python`, and `multi` {name, graders, calculate_output}. The package's types
say that `graders` is one grader; an object of graders by name and a list are read. A similarity and a
program are no statements, and are left out. Templates such as `{{sample.output_text}}` stay in the texts as
they are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from rubricate.dialects.fields import Draft, list_of, object_of, rubric_of, text_of
from rubricate.dialects.files.standing import entry_of
from rubricate.dialects.seam import Dialect, Loss, Row, Taken

_TYPES = ("string_check", "text_similarity", "score_model", "label_model", "python", "multi")
_OPERATIONS = {
    "eq": "is exactly",
    "ne": "is not exactly",
    "like": "contains",
    "ilike": "contains, in any case of letters,",
}


def _knows(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("type") in _TYPES and "name" in value


def _read(row: Row) -> Iterator[Taken]:
    value = object_of(row, row.value)
    if value.get("type") not in _TYPES:
        raise row.error(f"a grader is one of {', '.join(_TYPES)}", "type")
    losses = list[Loss]()
    if value["type"] == "multi":
        named = list(_graders(row, value))
        weights = _weights(value.get("calculate_output"), [name for name, _, _ in named])
        if weights is None:
            losses.append(Loss("a formula that is no weighted sum gives equal weights", "calculate_output"))
            weights = dict.fromkeys((name for name, _, _ in named), 1.0)
    else:
        name = text_of(row, value.get("name"), "name")
        named, weights = [(name, value, "")], {name: 1.0}
    drafts = list[Draft]()
    for name, grader, within in named:
        text = _text(row, grader, within, losses)
        if text is not None:
            drafts.append(Draft(text, weights[name], within.rstrip(".") or "name", name))
    if not drafts:
        raise row.error("no grader in it is a statement that can be met or not", "type")
    rubric = rubric_of(row, drafts, losses, "graders")
    assert rubric is not None, "there are drafts"
    yield Taken(entry_of(row, {"id": value.get("name")}, rubric), losses)


def _graders(row: Row, value: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    given = value.get("graders")
    if isinstance(given, Mapping) and "type" not in given:
        for name, grader in given.items():
            yield name, object_of(row, grader, f"graders.{name}"), f"graders.{name}."
        return
    for place, grader in enumerate([given] if isinstance(given, Mapping) else list_of(row, given, "graders")):
        field = f"graders[{place}]"
        grader = object_of(row, grader, field)
        yield text_of(row, grader.get("name"), f"{field}.name"), grader, f"{field}."


def _text(row: Row, grader: Mapping[str, Any], within: str, losses: list[Loss]) -> str | None:
    kind = grader.get("type")
    if kind in ("score_model", "label_model"):
        text = "\n\n".join(_contents(row, grader, within))
        if kind == "score_model":
            losses.append(Loss("a score in a range becomes yes or no", f"{within}range"))
            return text
        passing = [
            text_of(row, label, f"{within}passing_labels")
            for label in list_of(row, grader.get("passing_labels"), f"{within}passing_labels")
        ]
        losses.append(Loss("labels become yes or no", f"{within}labels"))
        return f"{text}\n\nMet if the answer is: {', '.join(passing)}."
    if kind == "string_check":
        operation = _OPERATIONS.get(str(grader.get("operation")))
        if operation is None:
            raise row.error(f"an operation is one of {', '.join(_OPERATIONS)}", f"{within}operation")
        subject = text_of(row, grader.get("input"), f"{within}input")
        return f"The text {subject} {operation} {text_of(row, grader.get('reference'), f'{within}reference')}"
    if kind not in _TYPES or kind == "multi":
        raise row.error(f"a grader is one of {', '.join(_TYPES[:-1])}", f"{within}type")
    losses.append(Loss(f"a grader of type {kind} is left out", f"{within}type"))
    return None


def _contents(row: Row, grader: Mapping[str, Any], within: str) -> Iterator[str]:
    for place, given in enumerate(list_of(row, grader.get("input"), f"{within}input")):
        field = f"{within}input[{place}].content"
        content = object_of(row, given, f"{within}input[{place}]").get("content")
        for part in content if isinstance(content, list) else [content]:
            yield text_of(row, part.get("text") if isinstance(part, Mapping) else part, field)


def _weights(formula: Any, names: list[str]) -> dict[str, float] | None:
    """The weights of a formula that is a weighted sum of all names, else None."""
    try:
        tree = ast.parse(str(formula).strip(), mode="eval")
        found = _linear(tree.body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        return None
    return found if set(found) == set(names) else None


def _linear(node: ast.expr) -> dict[str, float]:
    """The coefficient of each name; that of "" is a number alone.

    Raises:
        ValueError: the expression is not linear.
    """
    if isinstance(node, ast.Name):
        return {node.id: 1.0}
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return {"": float(node.value)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return {name: -value for name, value in _linear(node.operand).items()}
    if isinstance(node, ast.BinOp):
        left, right = _linear(node.left), _linear(node.right)
        if isinstance(node.op, ast.Add | ast.Sub):
            sign = 1.0 if isinstance(node.op, ast.Add) else -1.0
            return {
                name: left.get(name, 0.0) + sign * right.get(name, 0.0)
                for name in dict.fromkeys([*left, *right])
            }
        if isinstance(node.op, ast.Div) and set(right) == {""}:
            return {name: value / right[""] for name, value in left.items()}
        if isinstance(node.op, ast.Mult) and {""} in (set(left), set(right)):
            factor, rest = (left[""], right) if set(left) == {""} else (right[""], left)
            return {name: factor * value for name, value in rest.items()}
    raise ValueError("not linear")


OPENAI = Dialect("openai", "OpenAI grader JSON; read only", "rows", _knows, _read, None)
