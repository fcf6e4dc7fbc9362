"""The HTTP and WebSocket routes, one module per noun."""

from typing import TypeVar

from litestar.di import NamedDependency
from litestar.params import SkipValidation

T = TypeVar("T")

Given = NamedDependency[SkipValidation[T]]
"""A parameter that `create_app` provides under its name, passed on as it is."""
