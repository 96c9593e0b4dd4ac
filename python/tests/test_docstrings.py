"""Everything that is public says what it does, and the stub says what the extension module says."""

from __future__ import annotations

import ast
import enum
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, GetSetDescriptorType, MethodDescriptorType, ModuleType
from typing import Any

import pytest

import pytest_ringmq
import ringmq
import ringmq.aio
import ringmq.paho
from ringmq import _ringmq

SCRIPT = Path(__file__).resolve().parents[1] / "docstrings"
PACKAGE = Path(ringmq.__file__).parent
MODULES = [ringmq, ringmq.aio, ringmq.paho, pytest_ringmq]

EXCEPTIONS = {
    # A text, whose name is Python's for what it is.
    "ringmq.__version__",
    # Constants of paho-mqtt's packet types and retain handling: their names are the specification's.
    *(f"ringmq.paho.PacketTypes.{name}" for name in vars(ringmq.paho.PacketTypes) if name.isupper()),
    *(f"ringmq.paho.SubscribeOptions.{name}" for name in vars(ringmq.paho.SubscribeOptions) if name.isupper()),
}
"""What needs no docstring, and why."""


def is_ours(what: Any) -> bool:
    """Whether a class is of these packages, and not of the standard library."""
    return str(what.__module__).split(".")[0] in ("ringmq", "pytest_ringmq")


def public(names: Any) -> list[str]:
    return [name for name in names if not name.startswith("_")]


def syntax(module: str) -> ast.Module:
    """The source of a module; of the extension module, its stub."""
    file = PACKAGE / "_ringmq.pyi" if module == _ringmq.__name__ else Path(str(sys.modules[module].__file__))
    return ast.parse(file.read_text())


def fields(body: list[ast.stmt]) -> Iterator[tuple[str, bool]]:
    """Names that are annotated, and whether a docstring follows each."""
    for statement, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            yield statement.target.id, is_text


def set_by_init(body: list[ast.stmt]) -> Iterator[str]:
    """Names of attributes that `__init__` gives an object."""
    for function in body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    yield node.attr


def attributes_without(cls: type) -> list[str]:
    """Attributes of objects that neither a docstring of their own nor that of the class names."""
    undocumented: list[str] = []
    ours = [each for each in cls.__mro__ if is_ours(each)]
    classes = " ".join(inspect.getdoc(each) or "" for each in ours)
    for each in ours:
        if each.__module__ == _ringmq.__name__:
            continue
        tree = syntax(each.__module__)
        node = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == each.__name__)
        said = dict(fields(node.body))
        for name in public({*said, *set_by_init(node.body)}):
            is_property = isinstance(inspect.getattr_static(cls, name, None), property)
            is_named = re.search(rf"`{name}`|^ *{name}: ", classes, re.MULTILINE) is not None
            if not said.get(name, False) and not is_property and not is_named:
                undocumented.append(name)
    return undocumented


def members_without(cls: type) -> list[str]:
    """Methods and properties without a docstring."""
    undocumented: list[str] = []
    for name in public(dir(cls)):
        holder = next((each for each in cls.__mro__ if name in vars(each)), None)
        if holder is None or not is_ours(holder):
            continue
        found = vars(holder)[name]
        if isinstance(found, enum.Enum):
            # Names of the specification's.
            continue
        if isinstance(found, property | GetSetDescriptorType) or callable(found):
            is_documented = bool(inspect.getdoc(found))
        else:
            # The default of a field, which is looked at with the attributes.
            is_documented = name in vars(holder).get("__annotations__", {})
        if not is_documented:
            undocumented.append(name)
    return undocumented


ALIASES = {
    name for module in ("ringmq._events", "ringmq.paho") for name, is_said in fields(syntax(module).body) if is_said
}
"""Types with another name and a docstring."""


def without(module: ModuleType) -> Iterator[str]:
    """Everything public of a module that has no docstring."""
    for name in module.__all__:
        found = getattr(module, name)
        if isinstance(found, type):
            if not found.__doc__:
                yield f"{module.__name__}.{name}"
            for member in {*members_without(found), *attributes_without(found)}:
                yield f"{module.__name__}.{name}.{member}"
        elif callable(found):
            if not inspect.getdoc(found):
                yield f"{module.__name__}.{name}"
        elif not isinstance(found, enum.Enum) and name not in ALIASES:
            yield f"{module.__name__}.{name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_everything_public_has_a_docstring(module: ModuleType) -> None:
    assert module.__doc__
    assert set(without(module)) - EXCEPTIONS == set()


def test_every_exception_is_one() -> None:
    assert {name for module in MODULES for name in without(module)} == EXCEPTIONS


def test_fixtures_and_hooks_of_the_plugin_have_docstrings() -> None:
    functions = [node for node in syntax("pytest_ringmq").body if isinstance(node, ast.FunctionDef)]
    assert {"mqtt_broker", "mqtt_client", "capmqtt", "mosquitto", "mqtt_ca_file"} <= {node.name for node in functions}
    assert [node.name for node in functions if not node.name.startswith("_") and not ast.get_docstring(node)] == []


def functions_of(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Functions and methods that are called by the package's own interface."""
    for name in module.__all__:
        cls = getattr(module, name)
        for member in public(dir(cls)) if isinstance(cls, type) else []:
            found = inspect.getattr_static(cls, member)
            if isinstance(found, FunctionType | MethodDescriptorType) and is_ours(getattr(found, "__objclass__", found)):
                yield f"{module.__name__}.{name}.{member}", found


@pytest.mark.parametrize("module", [ringmq, ringmq.aio, pytest_ringmq], ids=lambda module: module.__name__)
def test_docstrings_name_every_argument(module: ModuleType) -> None:
    """But those that say whose arguments they have."""
    unnamed: list[str] = []
    for name, function in functions_of(module):
        doc = inspect.getdoc(function) or ""
        if re.search(r"^As `|\bArguments\b|\bas `ringmq\.", doc):
            continue
        for argument in list(inspect.signature(function).parameters)[1:]:
            if not re.search(rf"\b{argument}\b", doc):
                unnamed.append(f"{name}({argument})")
    assert unnamed == []


def test_the_stub_has_the_docstrings_of_the_extension_module() -> None:
    """RINGMQ_ACCEPT=1 writes them anew."""
    if os.environ.get("RINGMQ_ACCEPT"):
        subprocess.run([sys.executable, SCRIPT, PACKAGE], check=True)
        return
    checked = subprocess.run([sys.executable, SCRIPT, "--check", PACKAGE], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
