"""The cluster and step documents of the wanted version, as EMR takes them.

`cluster.json` is a RunJobFlow request and `step.json` one step of AddJobFlowSteps, both with `${NAME}` for what only
the deployment knows. The trigger gives both their name.
"""

from __future__ import annotations

import json
from string import Template
from typing import TYPE_CHECKING, Any, cast

from s3_objects import read

from trigger.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3.client import S3Client

    from trigger.settings import TriggerSettings

CLUSTER_TAG = "stocketl"
INTENTION_TAG = "stocketl-intent"


class Documents:
    """Read anew each time: they are small, and needed only when something is started."""

    def __init__(self, s3: S3Client, settings: TriggerSettings) -> None:
        self._s3 = s3
        self._settings = settings

    def cluster(self, intention: str) -> dict[str, Any]:
        """A RunJobFlow request; raises DocumentError."""
        document = self._read("cluster.json")
        if subnets := document.get("Instances", {}).get("Ec2SubnetIds"):
            # one text of the environment may name several
            document["Instances"]["Ec2SubnetIds"] = [subnet for text in subnets for subnet in text.split(",")]
        name = self._settings.cluster_name
        ours = {CLUSTER_TAG: name, INTENTION_TAG: intention}
        tags = {tag["Key"]: tag["Value"] for tag in document.get("Tags", [])} | ours
        return document | {"Name": name, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def step(self, intention: str) -> dict[str, Any]:
        """One step of an AddJobFlowSteps request; raises DocumentError."""
        name = f"{self._settings.step_name} {self._settings.version} {intention}"
        return self._read("step.json") | {"Name": name, "ActionOnFailure": "CONTINUE"}

    def _read(self, name: str) -> dict[str, Any]:
        bucket, key = self._settings.artifacts_bucket, f"stocketl/{self._settings.version}/{name}"
        where = f"s3://{bucket}/{key}"
        try:
            text = read(self._s3, bucket, key)
        except self._s3.exceptions.NoSuchBucket:
            text = None
        if text is None:
            msg = f"{where} is not there: upload that version (make deploy), or correct ARTIFACT_VERSION"
            raise DocumentError(msg)
        return fill_in(text.decode(errors="replace"), dict(self._settings.values), where)


def fill_in(text: str, values: Mapping[str, str], where: str) -> dict[str, Any]:
    """The JSON object of a text, with the values in the place of their `${NAME}`; `$$` is a dollar sign.

    Raises DocumentError for a name without value, a lone `$`, and what is no JSON object then.
    """
    escaped = {name: json.dumps(value)[1:-1] for name, value in values.items()}
    template = Template(text)
    if missing := sorted(set(template.get_identifiers()) - set(escaped)):
        msg = f"{where} needs {', '.join(missing)}: expected in the function's environment, not set"
        raise DocumentError(msg)
    try:
        document = json.loads(template.substitute(escaped))
    except ValueError as error:
        msg = f"{where} is no JSON text with ${{NAME}} in it: {error}"
        raise DocumentError(msg) from error
    if not isinstance(document, dict):
        msg = f"{where}: expected a JSON object, got {type(document).__name__}"
        raise DocumentError(msg)
    return cast("dict[str, Any]", document)
