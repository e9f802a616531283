"""deploy/cluster.json and deploy/step.json, as the trigger sends them with what the template tells it."""

from __future__ import annotations

import ast
import re
from typing import Any

import botocore.session
import pytest
import typer
from botocore.validate import ParamValidator
from cloudformation import EXISTING, GIVEN, STACK, TEMPLATE, Stack

from deploy.sources import lambda_sources
from streaming import cli

ROOT = TEMPLATE.parents[1]
LONGEST_ARGUMENTS = 10_240  # docs.aws.amazon.com/emr/latest/APIReference/API_HadoopJarStepConfig.html


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack()


def arguments(stack: Stack) -> list[str]:
    return stack.document("step.json")["HadoopJarStep"]["Args"]


def classified(stack: Stack, name: str) -> dict[str, Any]:
    """One entry of the cluster's configurations."""
    (found,) = [of for of in stack.document("cluster.json")["Configurations"] if of["Classification"] == name]
    return found


def spark_defaults(stack: Stack) -> dict[str, str]:
    return classified(stack, "spark-defaults")["Properties"]


def test_handlers_are_functions_of_the_sources_that_are_packed(stack: Stack) -> None:
    """Each handler string names a function of a file that goes into lambda.zip."""
    packed = lambda_sources(ROOT)
    for function in stack.of_type("AWS::Lambda::Function").values():
        module, name = function["Handler"].split(".")
        defined = ast.parse(packed[f"{module}.py"].read_text()).body
        assert name in [node.name for node in defined if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("name", ["cluster.json", "step.json"])
@pytest.mark.parametrize("given", [{}, EXISTING], ids=["everything new", "existing network and database"])
def test_the_trigger_has_every_name_of_its_documents(name: str, given: dict[str, str]) -> None:
    """What a document names is in the trigger's environment, whatever the parameters, and nothing is empty."""
    stack = Stack(given)
    stack.document(name)
    empty = [key for key, value in stack.environment("Trigger").items() if not value]
    assert empty == []


@pytest.mark.parametrize(("operation", "request_"), [("RunJobFlow", "cluster.json"), ("AddJobFlowSteps", "step.json")])
def test_documents_are_requests_as_emr_knows_them(stack: Stack, operation: str, request_: str) -> None:
    """botocore's model of EMR takes both documents."""
    sent = stack.document(request_)
    if operation == "AddJobFlowSteps":
        sent = {"JobFlowId": "j-1", "Steps": [{"Name": "stocketl 1.2.3 0a1b2c3d", **sent}]}
    shape = botocore.session.get_session().get_service_model("emr").operation_model(operation).input_shape
    assert ParamValidator().validate(sent, shape).generate_report() == ""


def test_options_of_spark_submit_precede_the_script(stack: Stack) -> None:
    """What stands behind the script is the job's; what stands before it has a value each."""
    args = arguments(stack)
    at = next(n for n, text in enumerate(args) if text.endswith("/main.py"))
    before, behind = args[1:at], args[at + 1 :]
    assert args[0] == "spark-submit"
    assert {name for name in before[::2] if not name.startswith("--")} == set()
    assert {"--deploy-mode", "--py-files"} <= set(before[::2])
    assert not {"--conf", "--py-files", "--jars", "--files", "--master"} & set(behind)


def test_the_job_knows_its_options(stack: Stack) -> None:
    """The job's own command line takes what step.json gives it."""
    args = arguments(stack)
    behind = args[next(n for n, text in enumerate(args) if text.endswith("/main.py")) + 1 :]
    command: Any = typer.main.get_command(cli.app)
    given = command.commands[behind[0]].make_context("run", behind[1:]).params
    assert given["input"] == "s3://InputBucket/drops"
    assert (
        given["database"]
        == "postgresql://stocks.example:5432/stocks?sslmode=verify-full&sslrootcert=/opt/stocketl/rds-ca.pem"
    )
    assert given["database_secret"].startswith("arn:aws:secretsmanager:")
    assert (given["metrics"], given["log_format"], given["move"]) == ("cloudwatch", "json", False)


def test_the_longest_names_fit_into_a_step() -> None:
    """A step's text stays below EMR's limit with the longest bucket names that there are."""
    buckets = ("InputBucket", "SuccessBucket", "FailedBucket", "StateBucket", "ReceiptsBucket", "LogsBucket")
    names = dict.fromkeys(buckets, "b" * 63)
    stack = Stack(EXISTING | {"ArtifactsBucket": "a" * 63, "InputPrefix": "p" * 200}, names)
    assert sum(len(text) + 1 for text in arguments(stack)) < LONGEST_ARGUMENTS / 3


def test_the_cluster_is_private_protected_and_has_room_for_a_second_step(stack: Stack) -> None:
    """What the job relies on, as the cluster document says it."""
    cluster = stack.document("cluster.json")
    instances = cluster["Instances"]
    assert (instances["TerminationProtected"], instances["KeepJobFlowAliveWhenNoSteps"]) == (True, True)
    assert (instances["Ec2SubnetIds"], instances["ServiceAccessSecurityGroup"]) == (["SubnetA"], "ServiceGroup-GroupId")
    assert cluster["StepConcurrencyLevel"] == 2
    subnets = stack.of_type("AWS::EC2::Subnet").values()
    assert [subnet["MapPublicIpOnLaunch"] for subnet in subnets] == [False, False]
    assert stack.of_type("AWS::EC2::InternetGateway") == {}


def test_two_drivers_fit_on_the_cluster(stack: Stack) -> None:
    """The executors that one asks for leave a node's worth to the next, and each node has room for two masters.

    In megabytes; a master in client mode takes 512 and the least overhead, 384.
    """
    (core,) = [
        f for f in stack.document("cluster.json")["Instances"]["InstanceFleets"] if f["InstanceFleetType"] == "CORE"
    ]
    yarn = classified(stack, "yarn-site")["Properties"]
    node = int(yarn["yarn.nodemanager.resource.memory-mb"])
    spark = spark_defaults(stack)
    executor = sum(1024 * int(spark[f"spark.executor.{name}"].rstrip("g")) for name in ("memory", "memoryOverhead"))
    slots = (node - 2 * (512 + 384)) // executor
    nodes, asked = core["TargetOnDemandCapacity"], int(spark["spark.executor.instances"])
    assert (slots, nodes * slots - asked) == (2, 1)
    assert spark["spark.dynamicAllocation.enabled"] == "false"
    masters = float(
        classified(stack, "capacity-scheduler")["Properties"]["yarn.scheduler.capacity.maximum-am-resource-percent"]
    )
    assert masters * node >= 2 * (512 + 384)  # also on the node that is left when the other is lost
    assert int(classified(stack, "hdfs-site")["Properties"]["dfs.replication"]) == nodes


def test_a_step_outlives_more_masters_than_one_as_long_as_they_do_not_die_within_an_hour(stack: Stack) -> None:
    """YARN's default of two attempts would end a step of months when its second node is lost."""
    assert int(classified(stack, "yarn-site")["Properties"]["yarn.resourcemanager.am.max-attempts"]) >= 10
    assert spark_defaults(stack)["spark.yarn.am.attemptFailuresValidityInterval"] == "1h"


def test_each_fleet_may_choose_among_alike_instances(stack: Stack) -> None:
    """Five types of four processors and 16 GB, for x86_64 as the wheels are; the one in the cost table first."""
    fleets = stack.document("cluster.json")["Instances"]["InstanceFleets"]
    types = [[one["InstanceType"] for one in fleet["InstanceTypeConfigs"]] for fleet in fleets]
    assert types[0] == types[1]
    assert types[0][0] == "m6i.xlarge"
    assert all(re.fullmatch(r"m\da?i?\.xlarge", name) for name in types[0])
    assert [[one["Priority"] for one in fleet["InstanceTypeConfigs"]] for fleet in fleets] == [[0, 1, 2, 3, 4]] * 2


def test_traffic_between_driver_and_executors_is_encrypted(stack: Stack) -> None:
    """With a secret that YARN hands out; the shuffle service, which would need it too, is off."""
    names = ("spark.authenticate", "spark.network.crypto.enabled", "spark.shuffle.service.enabled")
    assert [spark_defaults(stack)[name] for name in names] == ["true", "true", "false"]


def test_an_existing_network_and_database_are_used() -> None:
    """With VpcId and DatabaseUri nothing of the two is made."""
    stack = Stack(EXISTING)
    made = {of["Type"] for of in stack.resources.values()}
    assert not made & {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::RDS::DBInstance"}
    assert stack.document("cluster.json")["Instances"]["Ec2SubnetIds"] == ["subnet-1"]
    assert EXISTING["DatabaseUri"] in arguments(stack)


def test_the_artifact_is_where_build_and_bootstrap_have_it(stack: Stack) -> None:
    """The bootstrap gets the folder of its own version, and its environment is the one that Spark is told of."""
    (action,) = stack.document("cluster.json")["BootstrapActions"]
    place = f"s3://{GIVEN['ArtifactsBucket']}/stocketl/{GIVEN['ArtifactVersion']}"
    script = action["ScriptBootstrapAction"]
    assert (script["Path"], script["Args"]) == (f"{place}/bootstrap.sh", [place])
    assert spark_defaults(stack)["spark.pyspark.python"] == "/opt/stocketl/venv/bin/python"
    assert "home=${2:-/opt/stocketl}" in (TEMPLATE.parent / "bootstrap.sh").read_text()
    assert stack.document("cluster.json")["Name"] == STACK


def test_driver_and_executors_wait_for_a_slow_metadata_service(stack: Stack) -> None:
    """Credentials come from there; boto3 asks once and for one second, and without an answer the job ended.

    In client mode the driver is a child of spark-submit, which reads spark-env; executors get what is set for them.
    """
    (export,) = classified(stack, "spark-env")["Configurations"]
    prefix = "spark.executorEnv."
    executors = {key.removeprefix(prefix): v for key, v in spark_defaults(stack).items() if key.startswith(prefix)}
    assert export["Properties"] == executors
    # docs.aws.amazon.com/sdkref/latest/guide/feature-ec2-instance-metadata.html
    assert (executors["AWS_METADATA_SERVICE_TIMEOUT"], executors["AWS_METADATA_SERVICE_NUM_ATTEMPTS"]) == ("5", "5")
