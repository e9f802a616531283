"""Takes the buckets that an undeployment has left into a new stack of the same name: CloudFormation's resource import.

By docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-new-stack.html a new stack may begin with
what is there already, and then with nothing else. So the stack is made of the buckets alone, and the deployment goes on
with an update that adds all else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from deploy.errors import DeployError
from deploy.undeploy import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deploy.place import Place


def adopt(place: Place, folder: Path, name: str) -> dict[str, str]:
    """Makes the stack of its old buckets; logical id -> bucket. Raises DeployError where there is not one of each."""
    stack = place.stack(name)
    if stack.description() is not None:
        msg = f"there is a stack {name} already: it has buckets of its own, and cannot adopt others"
        raise DeployError(msg)
    found = left_by(name, [bucket["Name"] for bucket in place.s3.list_buckets()["Buckets"]])
    template = (folder / "template.yaml").read_text(encoding="utf-8")
    stack.import_(of_buckets(template), to_import(found))
    return found


def left_by(name: str, buckets: list[str]) -> dict[str, str]:
    """The bucket of each logical id, by the names that CloudFormation gives: `<stack>-<logical id>-<random>`."""
    ours = {
        logical: [one for one in buckets if re.fullmatch(rf"{re.escape(name)}-{logical}-\w+", one, re.IGNORECASE)]
        for logical in BUCKETS
    }
    if wrong := {logical: found for logical, found in ours.items() if len(found) != 1}:
        told = "; ".join(f"{logical}: {', '.join(found) or 'none'}" for logical, found in wrong.items())
        msg = (
            f"--adopt takes one bucket for each of {', '.join(BUCKETS)}, named {name.lower()}-<that name>-…; found "
            f"{told}. Delete or empty what is not wanted (aws s3 rb), or deploy without --adopt and copy the files"
        )
        raise DeployError(msg)
    return {logical: found[0] for logical, found in ours.items()}


def of_buckets(template: str) -> str:
    """A template with the buckets of another one and nothing else; they name nothing outside of themselves."""
    blocks = {
        logical: re.search(rf"(?ms)^  {logical}:.*?(?=^  \S|^  # |\Z)", template[template.index("\nResources:") :])
        for logical in BUCKETS
    }
    if missing := [logical for logical, block in blocks.items() if block is None]:
        msg = f"the template has no {', '.join(missing)}"
        raise DeployError(msg)
    found = "".join(block[0] for block in blocks.values() if block is not None)
    return f'AWSTemplateFormatVersion: "2010-09-09"\nResources:\n{found}'


def to_import(found: Mapping[str, str]) -> list[dict[str, Any]]:
    """ResourcesToImport of a change set."""
    return [
        {
            "ResourceType": "AWS::S3::Bucket",
            "LogicalResourceId": logical,
            "ResourceIdentifier": {"BucketName": bucket},
        }
        for logical, bucket in found.items()
    ]
