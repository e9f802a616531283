"""A CloudFormation template with its short forms resolved, as far as the tests of `deploy/template.yaml` need it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from trigger.documents import fill_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TEMPLATE = Path(__file__).resolve().parents[2] / "deploy" / "template.yaml"
ACCOUNT, REGION, STACK = "123456789012", "us-east-1", "stocketl"
GIVEN = {"ArtifactsBucket": "artifacts", "ArtifactVersion": "1.2.3-0a1b2c3d", "LambdaObjectVersion": "v1"}
OTHER_DATABASE = {
    "DatabaseUri": "postgresql://stocks.example:5432/stocks?sslmode=verify-full",
    "DatabaseSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:stocks-AbCdEf",
}
OTHER_NETWORK = {
    "VpcId": "vpc-1",
    "ClusterSubnetIds": "subnet-1",
    "DatabaseSubnetIds": "subnet-1,subnet-2",
    "RouteTableIds": "rtb-1",
}
EXISTING = OTHER_NETWORK | OTHER_DATABASE
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::Partition": "aws",
    "AWS::NoValue": None,
}
_ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{name}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{name}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{name}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{name}}:*",
    "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{{name}}",
    "AWS::Events::Rule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{{name}}",
    "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{{name}}",
}
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")


class _Loader(yaml.SafeLoader):
    """YAML with `!Ref` and the like."""


def _short_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


class Stack:
    """What the template makes. given: parameters; names: logical id -> physical name (else the logical id itself)."""

    def __init__(self, given: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None) -> None:
        self.template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Loader)  # noqa: S506 - a SafeLoader
        defaults = {name: of.get("Default") for name, of in self.template["Parameters"].items()}
        self._values = defaults | GIVEN | dict(given or {}) | PSEUDO
        self._names = dict(names or {})
        self._true = {name: self._is(what) for name, what in self.template["Conditions"].items()}
        self.resources: dict[str, dict[str, Any]] = {
            name: self.resolved(of)
            for name, of in self.template["Resources"].items()
            if self._true.get(of.get("Condition", ""), True)
        }

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Logical id -> properties of the resources of this type."""
        return {name: of["Properties"] for name, of in self.resources.items() if of["Type"] == kind}

    def environment(self, function: str) -> dict[str, str]:
        """The variables of a Lambda, with the one that Lambda itself adds."""
        variables = self.resources[function]["Properties"]["Environment"]["Variables"]
        return {name: str(value) for name, value in variables.items()} | {"AWS_REGION": REGION}

    def document(self, name: str) -> dict[str, Any]:
        """`cluster.json` or `step.json` as the trigger reads it."""
        return fill_in((TEMPLATE.parent / name).read_text(), self.environment("Trigger"), name)

    def refused(self) -> list[str]:
        """What the template's rules say against the parameters."""
        rules = self.template["Rules"].values()
        asked = [one for rule in rules if self._is(rule["RuleCondition"]) for one in rule["Assertions"]]
        return [one["AssertDescription"] for one in asked if not self._is(one["Assert"])]

    def before(self, name: str) -> set[str]:
        """The resources that CloudFormation makes before this one."""
        found: set[str] = set()
        left = [name]
        while left:
            new = set(self._named(self.template["Resources"][left.pop()])) & set(self.resources) - found
            found |= new
            left += new
        return found

    def resolved(self, value: Any) -> Any:
        """The value without functions; what stands for nothing is left out."""
        if isinstance(value, list):
            return [one for one in map(self.resolved, value) if one is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return getattr(self, f"_{name[4:].lower()}")(argument)
        return {key: found for key, one in value.items() if (found := self.resolved(one)) is not None}

    def _named(self, value: Any) -> Iterator[str]:
        """What a resource refers to, and DependsOn names; of an Fn::If only the branch that is taken."""
        if isinstance(value, list):
            for one in value:
                yield from self._named(one)
        for key, one in value.items() if isinstance(value, dict) else ():
            if key == "Fn::If":
                yield from self._named(one[1 if self._true[one[0]] else 2])
            elif key == "Fn::Sub":
                text, more = one if isinstance(one, list) else (one, {})
                yield from (found.partition(".")[0] for found in _VARIABLE.findall(text))
                yield from self._named(more)
            elif key in {"Ref", "DependsOn", "Fn::GetAtt"}:
                yield from one[:1] if key == "Fn::GetAtt" else one if isinstance(one, list) else [one]
            else:
                yield from self._named(one)

    def _is(self, what: dict[str, Any]) -> bool:
        if "Condition" in what:
            return self._is(self.template["Conditions"][what["Condition"]])
        if "Fn::Not" in what:
            return not self._is(what["Fn::Not"][0])
        if "Fn::And" in what or "Fn::Or" in what:
            ((name, parts),) = what.items()
            return (all if name == "Fn::And" else any)(map(self._is, parts))
        left, right = map(self.resolved, what["Fn::Equals"])
        return str(left) == str(right)

    def _ref(self, name: str) -> Any:
        if name in self._values:
            value = self._values[name]
            kind = self.template["Parameters"].get(name, {}).get("Type")
            return str(value).split(",") if kind == "CommaDelimitedList" else value
        if self.template["Resources"].get(name, {}).get("Type") == "AWS::SQS::Queue":
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{self._named_as(name)}"
        return self._named_as(name)

    def _named_as(self, name: str) -> str:
        return self._names.get(name, name)

    def _getatt(self, argument: list[str]) -> str:
        name, attribute = argument
        if attribute == "Arn":
            return _ARNS[self.template["Resources"][name]["Type"]].format(name=self._named_as(name))
        known = {"MasterUserSecret.SecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1"}
        known |= {"Endpoint.Address": "stocks.example", "Endpoint.Port": "5432", "QueueName": self._named_as(name)}
        return known.get(attribute, f"{name}-{attribute}")

    def _sub(self, argument: Any) -> str:
        text, more = argument if isinstance(argument, list) else (argument, {})

        def value(found: re.Match[str]) -> str:
            name, dot, attribute = found[1].partition(".")
            if name in more:
                return str(self.resolved(more[name]))
            return str(self._getatt([name, attribute]) if dot else self._ref(name))

        return _VARIABLE.sub(value, text)

    def _if(self, argument: list[Any]) -> Any:
        condition, yes, no = argument
        return self.resolved(yes if self._true[condition] else no)

    def _select(self, argument: list[Any]) -> Any:
        return self.resolved(argument[1])[argument[0]]

    def _split(self, argument: list[Any]) -> list[str]:
        return str(self.resolved(argument[1])).split(argument[0])

    def _join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(self.resolved(argument[1]))

    def _getazs(self, _argument: Any) -> list[str]:
        return [f"{REGION}a", f"{REGION}b"]

    def _cidr(self, argument: list[Any]) -> list[str]:
        return [f"part {n} of {self.resolved(argument[0])}" for n in range(argument[1])]
