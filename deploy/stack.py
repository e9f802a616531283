"""The CloudFormation stack: a change set, its execution shown on the terminal, its outputs, its end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, WaiterError

from deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mypy_boto3_cloudformation.client import CloudFormationClient
    from rich.console import Console

_LOOK_SECONDS = 5.0
_OF_DATA = {"AWS::RDS::DBInstance", "AWS::S3::Bucket"}
_BEYOND_UPDATE = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}
_GOING = {"DELETE_COMPLETE", "DELETE_IN_PROGRESS"}
_NOTHING = ("didn't contain changes", "No updates are to be performed", "no changes")


class Stack:
    """One stack by its name. sleep: waits for seconds."""

    def __init__(
        self,
        client: CloudFormationClient,
        name: str,
        console: Console,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self.name = name
        self._console = console
        self._sleep = sleep

    def description(self) -> dict[str, Any] | None:
        """As CloudFormation has it. None: there is none, or it was never made."""
        try:
            found = self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if found["StackStatus"] in {"REVIEW_IN_PROGRESS", "DELETE_COMPLETE"} else dict(found)

    def parameters(self) -> dict[str, str]:
        """The values of its parameters; empty if there is no stack."""
        found = self.description() or {}
        return {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", ())}

    def outputs(self) -> dict[str, str]:
        """Its outputs; empty if there is no stack."""
        found = self.description() or {}
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}

    def resources(self) -> dict[str, str]:
        """Logical id -> physical id of what it has, even if its creation failed; empty if there is no stack.

        CloudFormation lists what it has deleted as well, and what it is about to delete: that is left out.
        """
        if self.description() is None:
            return {}
        pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self.name)
        rows = [one for page in pages for one in page["StackResourceSummaries"]]
        found = [one for one in rows if one["ResourceStatus"] not in _GOING]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if one.get("PhysicalResourceId")}

    def plan(self, template_url: str, given: Mapping[str, str]) -> tuple[str, list[dict[str, Any]]]:
        """A change set and its changes. If there are no changes, the change set is removed.

        given: values of parameters; the others keep theirs. Raises DeployError if CloudFormation refuses it.
        """
        before = self.description()
        if before is not None and before["StackStatus"] in _BEYOND_UPDATE:
            remove = f'make undeploy ARGS="--stack {self.name}"'
            msg = f"the stack {self.name} is in {before['StackStatus']}; remove it first: {remove}"
            raise DeployError(msg)
        name = f"{self.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        request: Any = {
            "StackName": self.name,
            "ChangeSetName": name,
            "ChangeSetType": "CREATE" if before is None else "UPDATE",
            "TemplateURL": template_url,
            "Parameters": parameters(given, self._names_in(template_url), self.parameters()),
            # EMR wants the instance profile under the name of its role, so the template names it
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
        }
        self._client.create_change_set(**request)
        refused = self._refusal(name)
        if refused is not None:
            self._client.delete_change_set(StackName=self.name, ChangeSetName=name)
            if any(sign in refused for sign in _NOTHING):
                return name, []
            msg = f"CloudFormation refuses the template or its parameters: {refused}"
            raise DeployError(msg)
        pages = self._client.get_paginator("describe_change_set").paginate(StackName=self.name, ChangeSetName=name)
        return name, [dict(change["ResourceChange"]) for page in pages for change in page["Changes"]]

    def import_(self, template: str, resources: list[dict[str, Any]]) -> None:
        """Makes the stack of resources that are there; template: has these alone. Raises DeployError where it fails."""
        name = f"{self.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        request: Any = {"StackName": self.name, "ChangeSetName": name, "ChangeSetType": "IMPORT"}
        request |= {"TemplateBody": template, "ResourcesToImport": resources}
        self._client.create_change_set(**request)
        refused = self._refusal(name)
        if refused is not None:
            msg = f"CloudFormation does not take the buckets: {refused}"
            raise DeployError(msg)
        self.execute(name, len(resources))

    def _refusal(self, change_set: str) -> str | None:
        """Waits until the change set is made. CloudFormation's words if it refuses, else None."""
        of: Any = {"StackName": self.name, "ChangeSetName": change_set}
        try:
            self._client.get_waiter("change_set_create_complete").wait(
                **of, WaiterConfig={"Delay": 3, "MaxAttempts": 100}
            )
        except WaiterError as error:
            return self._client.describe_change_set(**of).get("StatusReason", "") or str(error)
        return None

    def execute(self, change_set: str, changes: int) -> None:
        """Carries out a change set and follows it to its end. Raises DeployError if it fails."""
        began = datetime.now(UTC)
        self._client.execute_change_set(StackName=self.name, ChangeSetName=change_set)
        self._follow(self.name, began, changes)

    def delete(self) -> None:
        """Deletes the stack and follows it to its end. Raises DeployError if something stays."""
        found = self.description()
        if found is None:
            return
        began = datetime.now(UTC)
        self._client.delete_stack(StackName=self.name)
        self._follow(found["StackId"], began, 0)  # by its id: the name is gone with the stack

    def _names_in(self, template_url: str) -> set[str]:
        found = self._client.get_template_summary(TemplateURL=template_url)
        return {one["ParameterKey"] for one in found["Parameters"]}

    def _follow(self, stack: str, began: datetime, changes: int) -> None:
        seen: set[str] = set()
        failures: list[str] = []
        done: set[str] = set()
        with self._console.status(f"{self.name} …") as status:
            while True:
                state = self._client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
                for event in self._new_events(stack, began, seen):
                    resource, what = event.get("LogicalResourceId", ""), event.get("ResourceStatus", "")
                    if failed := failure(event):
                        failures.append(failed)
                        self._console.print(failed, style="red", highlight=False, markup=False)
                    elif what.endswith("_COMPLETE"):
                        done.add(resource)
                        self._console.print(f"{what.lower():26} {resource}", style="dim", highlight=False)
                status.update(f"{self.name} {state} … {len(done)}" + (f" of {changes}" if changes else ""))
                if not state.endswith("_IN_PROGRESS"):
                    break
                self._sleep(_LOOK_SECONDS)
        if state not in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "DELETE_COMPLETE"}:
            msg = f"the stack {self.name} ended in {state}. " + (failures[0] if failures else "See its events.")
            raise DeployError(msg)

    def _new_events(self, stack: str, began: datetime, seen: set[str]) -> Iterator[dict[str, Any]]:
        """Oldest first; those before `began` belong to an earlier change."""
        found: list[dict[str, Any]] = []
        for page in self._client.get_paginator("describe_stack_events").paginate(StackName=stack):
            events: list[dict[str, Any]] = [dict(event) for event in page["StackEvents"]]
            found += [e for e in events if e["EventId"] not in seen and e["Timestamp"] >= began]
            if any(event["Timestamp"] < began for event in events):
                break
        seen |= {event["EventId"] for event in found}
        yield from reversed(found)


def parameters(given: Mapping[str, str], known: Iterable[str], before: Mapping[str, str]) -> list[dict[str, Any]]:
    """The parameters of a change set: the given values, for the others the ones before, else the template's defaults.

    Raises DeployError for a name that the template does not have.
    """
    names = set(known)
    if unknown := sorted(set(given) - names):
        msg = f"the template has no parameter {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        raise DeployError(msg)
    kept = sorted(names & set(before) - set(given))
    values: list[dict[str, Any]] = [{"ParameterKey": name, "ParameterValue": given[name]} for name in sorted(given)]
    return values + [{"ParameterKey": name, "UsePreviousValue": True} for name in kept]


def endangered(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """The buckets and the database that a change set would remove or replace, so that they would be empty."""
    return [
        str(change["LogicalResourceId"])
        for change in changes
        if change["ResourceType"] in _OF_DATA
        and (change["Action"] == "Remove" or change.get("Replacement") in {"True", "Conditional"})
    ]


def failure(event: Mapping[str, Any]) -> str | None:
    """What went wrong, in one line. None: the event is no failure, or only follows from another one."""
    reason = str(event.get("ResourceStatusReason", ""))
    if not str(event.get("ResourceStatus", "")).endswith("_FAILED") or "cancelled" in reason:
        return None
    return f"{event.get('LogicalResourceId')} ({event.get('ResourceType')}): {reason}"
