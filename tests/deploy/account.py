"""An account of moto's for the tests of `deploy/`, and versions as `make build` leaves them."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from rich.console import Console

from deploy.place import Place
from streaming import aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moto.cloudformation.models import ChangeSet

ACCOUNT, REGION = "123456789012", "eu-central-1"
BUCKET = f"stocketl-artifacts-{ACCOUNT}-{REGION}"
DOCUMENTS = Path(__file__).resolve().parents[2] / "deploy"


@contextlib.contextmanager
def an_account() -> Iterator[Place]:
    """An empty one; what is said goes to `console.file`."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "testing")
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EMR", "AWS_SESSION_TOKEN"):
            patched.delenv(name, raising=False)
        _teach_moto(patched)
        aws.forget_clients()  # of an earlier test's server
        with mock_aws():
            session = boto3.session.Session(region_name=REGION)
            yield Place(session, ACCOUNT, REGION, Console(file=io.StringIO(), width=200), sleep=_at_once)
    aws.forget_clients()


def _teach_moto(patched: pytest.MonkeyPatch) -> None:
    """Imported here: moto's CloudFormation brings all of its services along, which takes a second or two."""
    from moto.cloudformation.models import ChangeSet  # noqa: PLC0415
    from moto.cloudformation.utils import yaml_tag_constructor  # noqa: PLC0415
    from moto.iam.access_control import PermissionResult  # noqa: PLC0415
    from moto.s3.models import FakeBucket  # noqa: PLC0415

    class QuickLoader(yaml.CLoader):
        """moto reads a template again for each question: with libyaml in a tenth of the time."""

    QuickLoader.add_multi_constructor("", yaml_tag_constructor)
    # moto heeds a Deny, but not its condition: TLS, which no request of a test lacks
    patched.setattr(FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)
    # … and knows of no DeletionPolicy: each of our buckets has one
    patched.setattr(FakeBucket, "delete_from_cloudformation_json", lambda *_: None)
    patched.setattr(yaml, "Loader", QuickLoader)
    patched.setattr(ChangeSet, "apply", _applied(ChangeSet.apply))


def _at_once(_seconds: float) -> None:
    """moto has done everything already."""


def _applied(apply: Callable[[ChangeSet], None]) -> Callable[[ChangeSet], None]:
    """moto forgets what a change set says of outputs and parameters."""

    def wrapped(self: ChangeSet) -> None:
        stack = self.stack
        stack.template = self.template
        stack._parse_template()  # noqa: SLF001 - of moto
        apply(self)
        stack.output_map, stack.parameters = stack._create_output_map(), self.parameters  # noqa: SLF001 - as above

    return wrapped


def list_also(place: Place, rows: dict[str, tuple[str, str]], status: str | None = None) -> None:
    """ListStackResources shows these too (logical -> physical id, status), and moto's own with this status."""

    def add(parsed: dict[str, Any], **_: object) -> None:
        for row in parsed["StackResourceSummaries"]:
            row["ResourceStatus"] = status or row["ResourceStatus"]
        parsed["StackResourceSummaries"] += [
            {"LogicalResourceId": logical, "PhysicalResourceId": physical, "ResourceStatus": state}
            for logical, (physical, state) in rows.items()
        ]

    place.session.events.register("after-call.cloudformation.ListStackResources", add)


@contextlib.contextmanager
def cut_off_at(place: Place, operation: str) -> Iterator[None]:
    """Somebody presses Ctrl-C before this request, `service.Operation`, is sent."""

    def cut_off(**_: object) -> None:
        raise KeyboardInterrupt

    place.session.events.register(f"before-call.{operation}", cut_off)
    with pytest.raises(KeyboardInterrupt):
        yield
    place.session.events.unregister(f"before-call.{operation}", cut_off)


def refuse(place: Place, operation: str, code: str, times: int = 1) -> None:
    """AWS answers so many requests of this `service.Operation` with this error."""
    left = [None] * times

    def answer(**_: object) -> tuple[AWSResponse, dict[str, Any]] | None:
        if not left:
            return None
        left.pop()
        return AWSResponse("", 404, {}, None), {"Error": {"Code": code, "Message": "not now"}}

    place.session.events.register(f"before-call.{operation}", answer)


def answer(place: Place, operation: str, parsed: dict[str, Any], status: int = 200) -> None:
    """AWS answers each request of this `service.Operation` with this from now on."""
    answers = vars(place.session).setdefault("answers", {})
    if operation not in answers:

        def given(**_: object) -> tuple[AWSResponse, dict[str, Any]]:
            said, code = answers[operation]
            return AWSResponse("", code, {}, None), said | {"ResponseMetadata": {"HTTPStatusCode": code}}

        place.session.events.register_first(f"before-call.{operation}", given)
    answers[operation] = parsed, status


def said(place: Place) -> str:
    """What was on the terminal."""
    return place.console.file.getvalue()


def built(folder: Path, version: str = "1.2.3-00000001", requirements: str = "numpy==2") -> Path:
    """A version with the real documents and stand-ins for the rest."""
    made = folder / version
    (made / "wheels").mkdir(parents=True)
    (made / "wheels" / "numpy-2-py3-none-any.whl").write_bytes(b"wheel")
    for name in ("bootstrap.sh", "rds-ca.pem", "cluster.json", "step.json", "template.yaml"):
        (made / name).write_bytes((DOCUMENTS / name).read_bytes())
    for name in ("main.py", "stocketl.zip", "lambda.zip"):
        (made / name).write_bytes(f"{name} of {version}".encode())
    (made / "requirements.txt").write_text(requirements)
    # moto cannot say the ARN of an alarm, which only the dashboard asks for
    template = (made / "template.yaml").read_text()
    (made / "template.yaml").write_text(re.sub(r"(?ms)^  Dashboard:.*?^(?=Outputs:)", "", template))
    return made
