"""deploy/template.yaml: what it promises, and whether it fits the code."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cloudformation import EXISTING, OTHER_DATABASE, OTHER_NETWORK, TEMPLATE, Stack
from event_patterns import matches

ROOT = TEMPLATE.parents[1]
TEXT = TEMPLATE.read_text()
BUCKETS = ("InputBucket", "SuccessBucket", "FailedBucket", "StateBucket", "ReceiptsBucket", "LogsBucket")


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack()


def event(file: str, **detail: Any) -> dict[str, Any]:
    found = json.loads((ROOT / "tests" / "support" / "aws" / "events" / f"{file}.json").read_text())
    return found | {"detail": found["detail"] | detail}


def created(bucket: str, key: str) -> dict[str, Any]:
    return event("s3-object-created-eventbridge", bucket={"name": bucket}, object={"key": key})


def told(stack: Stack, of: dict[str, Any]) -> list[str]:
    """The Lambdas and queues that the template's rules would send an event to."""
    rules = stack.of_type("AWS::Events::Rule").values()
    called = [rule for rule in rules if "EventPattern" in rule and matches(rule["EventPattern"], of)]
    return sorted(rule["Targets"][0]["Arn"].rpartition(":")[2] for rule in called)


def test_cfn_lint_has_neither_errors_nor_warnings() -> None:
    """cfn-lint, the template's own tool, finds nothing."""
    command = [Path(sys.executable).with_name("cfn-lint"), TEMPLATE]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.stdout + linted.stderr, linted.returncode) == ("", 0)


@pytest.mark.parametrize("name", BUCKETS)
def test_buckets_are_private_encrypted_tls_only_and_survive_the_stack(stack: Stack, name: str) -> None:
    """Each bucket of the stack."""
    bucket = stack.resources[name]
    of = bucket["Properties"]
    assert set(of["PublicAccessBlockConfiguration"].values()) == {True}
    assert of["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert "ServerSideEncryptionConfiguration" in of["BucketEncryption"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    policies = [p for p in stack.of_type("AWS::S3::BucketPolicy").values() if p["Bucket"] == name]
    statement, *others = [s for policy in policies for s in policy["PolicyDocument"]["Statement"]]
    assert bool(others) is (name == "InputBucket")
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]


@pytest.mark.parametrize(
    "header", ["x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-customer-algorithm"]
)
def test_the_input_takes_no_file_with_a_key_that_the_job_may_not_use(stack: Stack, header: str) -> None:
    """A producer that names a key of its own is refused at once, not by a drop that fails later."""
    policy = stack.resources["InputBucketPolicy"]["Properties"]["PolicyDocument"]
    assert [
        {name: statement[name] for name in ("Effect", "Principal", "Action", "Resource")}
        for statement in policy["Statement"]
        if statement["Condition"] == {"Null": {f"s3:{header}": "false"}}
    ] == [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::InputBucket/*"}]


def test_every_version_of_a_drop_stays_for_a_while(stack: Stack) -> None:
    """The input is versioned, and an old version outlives any wait."""
    bucket = stack.resources["InputBucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] >= 30


def test_the_database_is_encrypted_asks_for_tls_and_is_not_lost(stack: Stack) -> None:
    """The new database."""
    database = stack.resources["Database"]
    of = database["Properties"]
    assert (of["StorageEncrypted"], of["PubliclyAccessible"], of["DeletionProtection"]) == (True, False, True)
    assert (of["ManageMasterUserPassword"], database["DeletionPolicy"]) == (True, "Snapshot")
    assert stack.resources["DatabaseSettings"]["Properties"]["Parameters"] == {"rds.force_ssl": "1"}


def test_the_job_may_decrypt_the_secret_only_with_the_key_that_is_given() -> None:
    """By way of Secrets Manager alone; a secret with a key of one's own could not be read."""
    key = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-0000-0000-000000000000"

    def decrypting(given: dict[str, str]) -> list[dict[str, Any]]:
        role = Stack(given).of_type("AWS::IAM::Role")["ClusterRole"]
        return [s for s in role["Policies"][0]["PolicyDocument"]["Statement"] if s["Action"] == "kms:Decrypt"]

    assert decrypting(OTHER_DATABASE) == []
    (statement,) = decrypting(OTHER_DATABASE | {"DatabaseSecretKeyArn": key})
    assert statement["Resource"] == key
    assert statement["Condition"] == {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}


@pytest.mark.parametrize(
    "given",
    [{}, OTHER_DATABASE, EXISTING, EXISTING | {"ServiceEndpoints": "no", "EmrEndpoint": "no"}],
    ids=["everything new", "existing database", "existing network and database", "existing endpoints too"],
)
def test_nothing_calls_the_trigger_before_what_a_cluster_needs_is_there(given: dict[str, str]) -> None:
    """Its first call starts a cluster, which needs the routes and endpoints also with an existing database.

    Once, with an existing database, nothing made the trigger wait for them.
    """
    stack = Stack(given)
    calling = ("TriggerEveryMinute", "TriggerOnEmr")
    kinds = ("AWS::EC2::", "AWS::EMR::", "AWS::IAM::", "AWS::RDS::", "AWS::S3::")
    needed = {name for name, of in stack.resources.items() if of["Type"].startswith(kinds)} - {
        "MonitorRole",
        "SchedulesRole",
        "Producers",
    }
    assert [needed - stack.before(name) for name in calling] == [set()] * 2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, ""),
        (EXISTING, ""),
        ({"ZoneA": "us-east-1c", "ZoneB": "us-east-1d"}, ""),
        (EXISTING | {"RouteTableIds": "", "ServiceEndpoints": "no", "DatabaseSubnetIds": ""}, ""),
        (EXISTING | {"ClusterSubnetIds": ""}, "give ClusterSubnetIds too"),
        (EXISTING | {"RouteTableIds": ""}, "give RouteTableIds too, or ServiceEndpoints=no"),
        (OTHER_NETWORK | {"DatabaseSubnetIds": ""}, "give DatabaseSubnetIds too, or DatabaseUri"),
        ({"DatabaseUri": "postgresql://h/d"}, "give DatabaseSecretArn too"),
        ({"ZoneA": "us-east-1c"}, "two different zones"),
        ({"ZoneB": "us-east-1c"}, "two different zones"),
        ({"ZoneA": "us-east-1c", "ZoneB": "us-east-1c"}, "two different zones"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(given: dict[str, str], says: str) -> None:
    """By the template's rules, before anything is made; an endpoint without a route table ended in a rollback."""
    refused = Stack(given).refused()
    assert [says in text for text in refused] == ([True] if says else [])


def test_subnets_are_in_the_zones_that_are_given(stack: Stack) -> None:
    """Without any in the account's first two."""
    chosen = Stack({"ZoneA": "us-east-1d", "ZoneB": "us-east-1f"})
    found = [[subnet["AvailabilityZone"] for subnet in s.of_type("AWS::EC2::Subnet").values()] for s in (stack, chosen)]
    assert found == [["us-east-1a", "us-east-1b"], ["us-east-1d", "us-east-1f"]]


def test_lists_of_an_existing_network_are_lists_where_they_are_used() -> None:
    """The parameters are texts, which the rules can compare."""
    stack = Stack(OTHER_NETWORK | {"RouteTableIds": "rtb-1,rtb-2"})
    assert stack.resources["S3Endpoint"]["Properties"]["RouteTableIds"] == ["rtb-1", "rtb-2"]
    assert stack.resources["DatabaseSubnets"]["Properties"]["SubnetIds"] == ["subnet-1", "subnet-2"]


@pytest.mark.parametrize(
    ("of", "called"),
    [
        (created("InputBucket", "drops/preise 50%+ä.csv"), ["DropEvents"]),
        (created("InputBucket", "dropsy/a.csv"), []),
        (created("ReceiptsBucket", "receipts/000000042.json"), ["Monitor"]),
        (created("ReceiptsBucket", "receipts/done/000000042.json"), []),
        (created("ReceiptsBucket", "moves/0a1b.json"), []),
        (created("StateBucket", "receipts/000000042.json"), []),
        (created("SuccessBucket", "drops/a.csv"), []),
        (event("emr-step-status-change"), ["Sweeper", "Trigger"]),
        (event("emr-step-status-change", state="RUNNING"), ["Trigger"]),
        (event("emr-step-status-change", name="another step"), []),
        (event("emr-cluster-state-change"), ["Sweeper", "Trigger"]),
        (event("emr-cluster-state-change", state="WAITING"), ["Trigger"]),
        (event("emr-cluster-state-change", name="another cluster"), []),
        (event("scheduled-event"), []),
    ],
)
def test_events_reach_whom_they_are_for(stack: Stack, of: dict[str, Any], called: list[str]) -> None:
    """The patterns against events as AWS publishes them; schedules have no pattern."""
    assert told(stack, of) == called


def test_the_schedules_call_their_lambdas(stack: Stack) -> None:
    """The trigger every minute, the sweep every five, as one role of this account that may do nothing else."""
    schedules = stack.of_type("AWS::Scheduler::Schedule")
    found = {of["ScheduleExpression"]: of["Target"]["Arn"].rpartition(":")[2] for of in schedules.values()}
    assert found == {"rate(1 minute)": "Trigger", "rate(5 minutes)": "Sweeper"}
    role = stack.of_type("AWS::IAM::Role")["SchedulesRole"]
    assert {of["Target"]["RoleArn"].rpartition("/")[2] for of in schedules.values()} == {"SchedulesRole"}
    call, letters = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert sorted(call["Resource"]) == sorted(of["Target"]["Arn"] for of in schedules.values())
    assert [letters["Resource"]] * 2 == [of["Target"]["DeadLetterConfig"]["Arn"] for of in schedules.values()]
    events = [json.loads(of["Target"]["Input"])["detail-type"] for of in schedules.values()]
    assert events == ["Scheduled Event"] * 2


@pytest.mark.parametrize("role", ["TriggerRole", "MonitorRole", "SchedulesRole"])
def test_roles_are_taken_for_this_account_alone(stack: Stack, role: str) -> None:
    """A service that acts for somebody else's account does not get them."""
    (trust,) = stack.of_type("AWS::IAM::Role")[role]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_calls_of_a_schedule_share_no_queue_with_a_burst(stack: Stack) -> None:
    """What comes in thousands, an event for each receipt, goes to a function that no schedule calls."""
    rules = stack.of_type("AWS::Events::Rule").values()
    of_s3 = {r["Targets"][0]["Arn"] for r in rules if r["EventPattern"]["source"] == ["aws.s3"]}
    scheduled = {of["Target"]["Arn"] for of in stack.of_type("AWS::Scheduler::Schedule").values()}
    assert of_s3 & scheduled == set()
    ages = {
        c["FunctionName"]: c["MaximumEventAgeInSeconds"]
        for c in stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    }
    assert ages == {"Trigger": 60, "Sweeper": 300, "Monitor": 300}


def test_every_rule_may_call_its_lambda_and_leaves_what_it_could_not_deliver(stack: Stack) -> None:
    """One permission for each rule; failed deliveries go to the queue that has an alarm."""
    rules = stack.of_type("AWS::Events::Rule")
    permissions = [(p["SourceArn"], p["FunctionName"]) for p in stack.of_type("AWS::Lambda::Permission").values()]
    targets = {name: rule["Targets"][0] for name, rule in rules.items()}
    lambdas = {name: target["Arn"] for name, target in targets.items() if ":lambda:" in target["Arn"]}
    expected = [(f":rule/{name}", arn.rpartition(":")[2]) for name, arn in lambdas.items()]
    assert sorted((arn[arn.index(":rule/") :], function) for arn, function in permissions) == sorted(expected)
    queue = stack.resolved({"Fn::GetAtt": ["DeadLetters", "Arn"]})
    assert {target["DeadLetterConfig"]["Arn"] for target in targets.values()} == {queue}
    allowed = stack.resources["DeadLettersPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]["Condition"]
    assert len(allowed["ArnEquals"]["aws:SourceArn"]) == len(rules)


def test_receipts_are_versioned_and_the_checkpoint_sends_no_events(stack: Stack) -> None:
    """A restore takes the order of the files from the receipts; an event for each state file would be paid for."""
    buckets = stack.of_type("AWS::S3::Bucket")
    telling = [name for name, of in buckets.items() if "NotificationConfiguration" in of]
    assert (telling, buckets["ReceiptsBucket"]["VersioningConfiguration"]) == (
        ["InputBucket", "ReceiptsBucket"],
        {"Status": "Enabled"},
    )
    assert "VersioningConfiguration" not in buckets["StateBucket"]


def test_only_the_rule_of_the_input_may_send_what_wakes_the_job(stack: Stack) -> None:
    """The queue is encrypted, takes TLS alone, and forgets what nobody has taken within a minute."""
    queue = stack.of_type("AWS::SQS::Queue")["DropEvents"]
    assert (queue["SqsManagedSseEnabled"], queue["MessageRetentionPeriod"]) == (True, 60)
    policy = stack.of_type("AWS::SQS::QueuePolicy")["DropEventsPolicy"]
    send, tls = policy["PolicyDocument"]["Statement"]
    assert policy["Queues"] == [stack.environment("Trigger")["WAKE_QUEUE"]]
    assert (send["Principal"], send["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert send["Condition"] == {
        "ArnEquals": {"aws:SourceArn": "arn:aws:events:us-east-1:123456789012:rule/DropArrives"},
        "StringEquals": {"aws:SourceAccount": "123456789012"},
    }
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


@pytest.mark.parametrize(
    ("given", "endpoints"),
    [({}, 1), ({"WakeQueue": "no"}, 0), (EXISTING, 1), (EXISTING | {"ServiceEndpoints": "no"}, 0)],
)
def test_the_job_may_do_without_a_queue(given: dict[str, str], endpoints: int) -> None:
    """Then there is none, no endpoint to pay for and no right, and the step has `--wake none`."""
    stack = Stack(given)
    wakes = given.get("WakeQueue") != "no"
    args = stack.document("step.json")["HadoopJarStep"]["Args"]
    assert args[args.index("--wake") + 1] == (
        "https://sqs.us-east-1.amazonaws.com/123456789012/DropEvents" if wakes else "none"
    )
    found = [name for name in ("DropEvents", "DropEventsPolicy", "DropArrives") if name in stack.resources]
    assert len(found) == (3 if wakes else 0)
    assert ("QueuesEndpoint" in stack.resources) == bool(endpoints)
    role = stack.of_type("AWS::IAM::Role")["ClusterRole"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert [s["Action"] for s in role if s["Sid"] == "EventsOfDrops"] == (
        [["sqs:ReceiveMessage", "sqs:DeleteMessage"]] if wakes else []
    )


def test_the_database_is_where_the_cluster_is(stack: Stack) -> None:
    """In one zone both are in the first; with a standby in a second zone the cluster may start in either."""
    chosen = {"ZoneA": "us-east-1c", "ZoneB": "us-east-1d"}
    one, two = Stack(chosen), Stack(chosen | {"DatabaseTwoZones": "yes"})
    assert one.resources["Database"]["Properties"]["AvailabilityZone"] == "us-east-1c"
    assert "AvailabilityZone" not in two.resources["Database"]["Properties"]
    subnets = [s.document("cluster.json")["Instances"]["Ec2SubnetIds"] for s in (stack, one, two)]
    assert subnets == [["SubnetA"], ["SubnetA"], ["SubnetA,SubnetB"]]
    endpoints = [s.resources["LogsEndpoint"]["Properties"]["SubnetIds"] for s in (one, two)]
    assert endpoints == [["SubnetA"], ["SubnetA", "SubnetB"]]


def test_endpoints_serve_this_account_alone(stack: Stack) -> None:
    """Another account's keys are of no use in the network, and of other people's buckets only EMR's are reached."""
    endpoints = stack.of_type("AWS::EC2::VPCEndpoint")
    for name in ("SecretsEndpoint", "LogsEndpoint", "MetricsEndpoint", "QueuesEndpoint"):
        (statement,) = endpoints[name]["PolicyDocument"]["Statement"]
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}
    own, packages, data = endpoints["S3Endpoint"]["PolicyDocument"]["Statement"]
    assert own["Condition"] == {"StringEquals": {"aws:ResourceAccount": "123456789012"}}
    assert (packages["Action"], [arn.endswith("/*") for arn in packages["Resource"]]) == ("s3:GetObject", [True, True])
    assert {arn.partition("-")[0] for arn in data["Resource"]} == {"arn:aws:s3:::aws157"}
    assert "PolicyDocument" not in Stack(EXISTING).of_type("AWS::EC2::VPCEndpoint")["S3Endpoint"]


def test_disks_are_encrypted_with_a_key_that_the_clusters_roles_may_use(stack: Stack) -> None:
    """EMR starts no instance whose disks it may not encrypt; without encryption there is no key to pay for."""
    of = stack.of_type("AWS::EMR::SecurityConfiguration")["ClusterSecurity"]["SecurityConfiguration"]
    disks = of["EncryptionConfiguration"]["AtRestEncryptionConfiguration"]["LocalDiskEncryptionConfiguration"]
    assert (disks["EnableEbsEncryption"], disks["AwsKmsKey"].endswith(":key/DiskKey")) == (True, True)
    statements = stack.of_type("AWS::KMS::Key")["DiskKey"]["KeyPolicy"]["Statement"]
    users = [
        [arn.rpartition("/")[2] for arn in s["Principal"]["AWS"]] for s in statements if s["Sid"].startswith("Disks")
    ]
    assert users == [["ServiceRole", "ClusterRole"]] * 2
    plain = Stack({"EncryptDisks": "no"})
    assert (plain.of_type("AWS::KMS::Key"), "EncryptionConfiguration" in str(plain.resources["ClusterSecurity"])) == (
        {},
        False,
    )


def test_people_get_in_only_when_told_so(stack: Stack) -> None:
    """A shell on a node needs the managed policy and, in a network without internet, two endpoints."""
    asked = Stack({"SessionManager": "yes"})
    names = [set(s.of_type("AWS::EC2::VPCEndpoint")) for s in (stack, asked)]
    assert names[1] - names[0] == {"SessionsEndpoint", "SessionMessagesEndpoint"}
    policies = [s.of_type("AWS::IAM::Role")["ClusterRole"].get("ManagedPolicyArns") for s in (stack, asked)]
    assert policies == [None, ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"]]


def test_the_job_may_be_a_role_of_its_own() -> None:
    """Its secret takes the place of the master user's, for the trigger and in the rights of the cluster."""
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:job-AbCdEf"
    stack = Stack({"JobSecretArn": arn})
    assert stack.environment("Trigger")["DATABASE_SECRET"] == arn
    statements = stack.of_type("AWS::IAM::Role")["ClusterRole"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert [s["Resource"] for s in statements if s["Sid"] == "Password"] == [arn]


def test_producers_may_drop_and_nothing_else(stack: Stack) -> None:
    """Neither read nor delete, and only where drops arrive."""
    (statement,) = stack.of_type("AWS::IAM::ManagedPolicy")["Producers"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["s3:PutObject", "s3:AbortMultipartUpload"]
    assert statement["Resource"] == "arn:aws:s3:::InputBucket/drops/*"


def test_the_certificates_of_rds_are_authorities_that_stay_valid() -> None:
    """With `verify-full` an authority that has ended would be a job that cannot log in."""
    found = ssl.create_default_context(cafile=str(TEMPLATE.parent / "rds-ca.pem")).get_ca_certs()
    names = {dict(part for (part,) in one["subject"])["commonName"] for one in found}
    assert {f"Amazon RDS {region} Root CA RSA2048 G1" for region in ("us-east-1", "eu-central-1")} < names
    years = {int(str(one["notAfter"]).split()[3]) for one in found}
    assert min(years) >= 2060


def test_alarms_go_to_one_topic_and_the_readme_says_what_to_do(stack: Stack) -> None:
    """Each alarm, by the name that it has in the template, has its place in deploy/README.md."""
    readme = (TEMPLATE.parent / "README.md").read_text()
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    assert {tuple(alarm["AlarmActions"]) for alarm in alarms.values()} == {("Alarms",)}
    assert [name for name in alarms if f"**{name}**" not in readme] == []


def test_a_monitor_that_sweeps_no_more_raises_the_alarm_and_one_missed_sweep_does_not(stack: Stack) -> None:
    """Without its figure nobody knows whether drops wait: three periods of the schedule without one are too many."""
    alarm = stack.of_type("AWS::CloudWatch::Alarm")["DropWaiting"]
    assert (alarm["TreatMissingData"], alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == ("breaching", 3, 3)
    schedule = stack.of_type("AWS::Scheduler::Schedule")["SweepEveryFiveMinutes"]["ScheduleExpression"]
    assert schedule == f"rate({alarm['Period'] // 60} minutes)"


def test_alarms_and_dashboard_show_figures_that_somebody_sends(stack: Stack) -> None:
    """Every metric of the namespace StockETL is named in the source that its dimension stands for."""
    sources = {
        "stocketl": [ROOT / "streaming" / "telemetry" / name for name in ("metrics.py", "backlog.py")],
        "stocketl-trigger": [ROOT / "lambda" / "trigger_emr.py"],
        "stocketl-monitor": [ROOT / "lambda" / "monitor_emr.py"],
    }
    shown = {(service, name) for service, name in shown_metrics(stack)}
    unknown = [
        (service, name) for service, name in shown if not any(sent(name, path.read_text()) for path in sources[service])
    ]
    assert (unknown, len(shown) > 15) == ([], True)


def sent(name: str, source: str) -> bool:
    """Whether a source names the metric; `Rows…` are made of the fates."""
    return f'"{name}"' in source or (name.startswith("Rows") and 'f"rows_' in source and f'"{name}"' in source)


def shown_metrics(stack: Stack) -> list[tuple[str, str]]:
    """(service, metric) of all alarms and of the dashboard."""
    found = []
    for alarm in stack.of_type("AWS::CloudWatch::Alarm").values():
        plain = [alarm] if "MetricName" in alarm else []
        for of in plain + [m["MetricStat"]["Metric"] for m in alarm.get("Metrics", ()) if "MetricStat" in m]:
            found += [(of["Dimensions"][0]["Value"], of["MetricName"])] if of["Namespace"] == "StockETL" else []
    body = json.loads(stack.of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"])
    for widget in body["widgets"]:
        row: list[str] = []
        for given in widget["properties"].get("metrics", ()):
            words = [word for word in given if isinstance(word, str)]
            # `...` stands for as much of the row above as is missing, `.` for one word of it
            words = [*row[: len(row) - len(words) + 1], *words[1:]] if words[0] == "..." else words
            row = [row[n] if word == "." else word for n, word in enumerate(words)]
            found += [(row[3], row[1])] if row[0] == "StockETL" else []
    return found


def test_a_star_is_a_resource_only_with_a_reason() -> None:
    """Each `Resource: "*"` says on its line why AWS has nothing narrower."""
    stars = [line for line in TEXT.splitlines() if re.search(r'(Resource: "\*"|^\s*- "\*")', line)]
    assert (len(stars), [line for line in stars if "#" not in line]) == (13, [])


def test_logs_are_kept_for_a_while_and_go_with_the_stack(stack: Stack) -> None:
    """Every log group has an end, and both functions write to one of the stack; RDS would make one that has none."""
    groups = stack.of_type("AWS::Logs::LogGroup")
    assert {group["RetentionInDays"] for group in groups.values()} == {30}
    functions = stack.of_type("AWS::Lambda::Function").values()
    assert {function["LoggingConfig"]["LogGroup"] for function in functions} <= set(groups)
    assert "EnableCloudwatchLogsExports" not in stack.resources["Database"]["Properties"]
