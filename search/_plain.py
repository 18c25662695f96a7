"""Frozen values as JSON and back, by their own annotations. Pure; no Django."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")


def written(value: Any) -> bytes:
    """JSON of a dataclass of plain values, dates, tuples and mappings. Raises TypeError for anything else."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")).encode()


def read(kind: type[Value], text: bytes) -> Value:
    """The value that was written. Raises ValueError where the JSON is none, or is not of this kind."""
    try:
        value: Value = _of(kind, json.loads(text))
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"this is no {kind.__name__}") from error
    return value


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no form in JSON")


@lru_cache
def _annotations(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _of(kind: Any, value: Any) -> Any:
    """The value of this kind; raises TypeError, KeyError or ValueError where it is another."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(**{name: _of(its, value[name]) for name, its in _annotations(kind).items()})
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis and isinstance(value, list):
        return tuple(_of(arguments[0], one) for one in value)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {name: _of(arguments[1], one) for name, one in value.items()}
    if origin in (Union, UnionType) and NoneType in arguments:
        (wanted,) = (one for one in arguments if one is not NoneType)
        return None if value is None else _of(wanted, value)
    if kind is datetime or kind is date:
        return kind.fromisoformat(value)
    if kind is float and type(value) is int:
        return float(value)
    if kind in (str, int, float, bool) and type(value) is kind:
        return value
    raise TypeError(f"{kind} is not what was written")
