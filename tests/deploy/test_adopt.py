"""A new stack takes over the buckets that an undeployment has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from account import an_account, answer, built
from cloudformation import TEMPLATE, Stack

from deploy.adopt import adopt, left_by, of_buckets
from deploy.errors import DeployError
from deploy.undeploy import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.place import Place

LEFT = {logical: f"stocketl-{logical.lower()}-1a2b3c4d5e6f" for logical in BUCKETS}


@pytest.fixture
def place() -> Iterator[Place]:
    with an_account() as made:
        for name in [*LEFT.values(), "stocketl-artifacts-123456789012-eu-central-1", "other-inputbucket-1"]:
            where: Any = {"LocationConstraint": made.region}
            made.s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        yield made


def test_the_stack_is_made_of_the_buckets_that_are_left(place: Place, tmp_path: Path) -> None:
    """By an import, whose template has them alone and as the whole template has them."""
    asked: list[dict[str, Any]] = []
    place.session.events.register(
        "provide-client-params.cloudformation.CreateChangeSet", lambda params, **_: asked.append(params)
    )
    there = {"Stacks": [{"StackName": "stocketl", "StackStatus": "REVIEW_IN_PROGRESS"}]}
    answer(place, "cloudformation.DescribeStacks", there)
    answer(place, "cloudformation.CreateChangeSet", {"Id": "c", "StackId": "s"})
    answer(place, "cloudformation.DescribeChangeSet", {"Status": "CREATE_COMPLETE"})
    answer(place, "cloudformation.ExecuteChangeSet", {})
    answer(place, "cloudformation.DescribeStackEvents", {"StackEvents": []})
    done = {"Stacks": [{"StackName": "stocketl", "StackStatus": "IMPORT_COMPLETE"}]}
    place.session.events.register(
        "after-call.cloudformation.ExecuteChangeSet",
        lambda **_: answer(place, "cloudformation.DescribeStacks", done),
    )
    assert adopt(place, built(tmp_path), "stocketl") == LEFT
    (request,) = asked
    assert (request["ChangeSetType"], request["StackName"]) == ("IMPORT", "stocketl")
    imported = {
        one["LogicalResourceId"]: one["ResourceIdentifier"]["BucketName"] for one in request["ResourcesToImport"]
    }
    assert imported == LEFT


def test_the_template_of_the_import_has_the_buckets_as_they_are() -> None:
    """Else the update that follows would change them, and CloudFormation wants each to say that it stays."""
    found = yaml.safe_load(of_buckets(TEMPLATE.read_text()))["Resources"]
    assert list(found) == list(BUCKETS)
    assert found == {name: Stack().resources[name] for name in BUCKETS}
    assert {bucket["DeletionPolicy"] for bucket in found.values()} == {"RetainExceptOnCreate"}


@pytest.mark.parametrize(
    ("buckets", "says"),
    [
        ([one for one in LEFT.values() if "receipts" not in one], "found ReceiptsBucket: none"),
        ([*LEFT.values(), "stocketl-inputbucket-0"], "found InputBucket: .*-1a2b3c4d5e6f, stocketl-inputbucket-0"),
    ],
)
def test_what_is_not_there_once_is_named(buckets: list[str], says: str) -> None:
    """Nothing is guessed among two, and a stack without one of them would make a new, empty one."""
    with pytest.raises(DeployError, match=says):
        left_by("stocketl", buckets)


def test_a_stack_that_is_there_adopts_nothing(place: Place, tmp_path: Path) -> None:
    """It has buckets of its own."""
    template = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    place.client("cloudformation").create_stack(StackName="stocketl", TemplateBody=template)
    with pytest.raises(DeployError, match="there is a stack stocketl already"):
        adopt(place, built(tmp_path), "stocketl")
