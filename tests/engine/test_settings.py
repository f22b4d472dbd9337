"""Settings as the engine hands them over: an object of the stack config, a file of a home, two accounts."""

import json

import pytest

from ehpc_nodes.testing import ids
from engine.program import declare


@pytest.mark.long
def test_a_role_that_cannot_be_assumed_is_told_and_its_base_key_not_used(cloud, stack_on):
    """Its settings are an object of the stack config; the key is in a file of the home."""
    it = cloud()
    role = {"roleArn": "acs:ram::2:role/deploy", "sessionExpiration": 5}
    stack = stack_on(it, **{"alicloud:profile": "default", "alicloud:assumeRole": role})
    stack.unset("ehpc:accessKeyId")
    stack.unset("ehpc:accessKeySecret")
    declare(stack, 1)
    home = stack.directory / "home"
    (home / ".aliyun").mkdir(parents=True)
    key = {"access_key_id": it.server.access_key_id, "access_key_secret": "fake"}
    profiles = [{"name": "default", "mode": "AK", **key}]
    (home / ".aliyun" / "config.json").write_text(json.dumps({"profiles": profiles}))
    stack.env |= {"HOME": str(home), "HTTPS_PROXY": "http://127.0.0.1:9"}  # nothing leaves it
    refused = stack.preview(expect_failure=True)
    told = "alicloud:assumeRole has sessionExpiration '5'; it must be 900 to 43200 seconds."
    assert any(told in text for text in refused.errors), refused.text
    role.pop("sessionExpiration")
    stack.configure({"alicloud:assumeRole": role})
    refused = stack.preview(expect_failure=True)
    told = "No access key from role 'acs:ram::2:role/deploy' (alicloud:assumeRole), assumed with the key of:"
    assert any(told in text for text in refused.errors), refused.text
    assert it.calls() == []


TWO_ACCOUNTS = """
import json, pulumi
from ehpc_nodes import AttachedNodes
class Account(pulumi.ProviderResource):
    def __init__(self, name, secret, settings):
        props = {**settings, "ehpc:accessKeySecret": pulumi.Output.secret(secret)}
        super().__init__("pulumi-python", name, props)
config = pulumi.Config()
args = json.loads(config.require("args"))
for name, settings in config.require_object("accounts").items():
    account = Account(name, config.require_secret(f"secret-{name}"), settings)
    AttachedNodes(f"{name}-nodes", **args, opts=pulumi.ResourceOptions(provider=account))
"""


@pytest.mark.long
def test_two_accounts_in_one_program(cloud, pulumi_stack):
    clouds = {"one": cloud(), "two": cloud()}
    stack = pulumi_stack(TWO_ACCOUNTS)
    accounts = {name: it.config for name, it in clouds.items()}
    stack.configure({"accounts": accounts, "ehpc:graceSeconds": "of the stack, and not read"})
    for name, it in clouds.items():
        it.world.default_key.secret = f"hush-{name}"
        stack.configure({}, {f"secret-{name}": f"hush-{name}"})
    declare(stack, 1)
    stack.up()
    for it in clouds.values():
        assert sorted(it.nodes) == ids(1)
        assert it.writes() == ["AddExistedNodes"]
    assert not [path for path, text in stack.state_files().items() if "hush-" in text]
    stack.destroy()
    assert [sorted(it.nodes) for it in clouds.values()] == [[], []]


SECRET = """
import pulumi
from ehpc_nodes import AttachedNodes
config = pulumi.Config()
nodes = AttachedNodes(
    "nodes", cluster_id="ehpc-hz-test", instance_ids=config.require_secret_object("instances"),
    job_queue=config.require_secret("queue"), replace_system_disks=True,
    opts=pulumi.ResourceOptions(additional_secret_outputs=["nodes", "tasks", "failed"]),
)
"""


def test_what_is_derived_from_secret_arguments_is_secret_where_the_docs_say_so(cloud, pulumi_stack):
    it = cloud()
    stack = pulumi_stack(SECRET)
    it.configure(stack)
    stack.configure({}, {"instances": ids(1), "queue": "gpu"})
    stack.up()
    assert {i: node.queue for i, node in it.nodes.items()} == {ids(1)[0]: "gpu"}
    it.outside.stop(ids(1)[0])
    stack.refresh()
    for text in (ids(1)[0], "compute1", '"gpu"'):
        assert text not in json.dumps(stack.resources()["nodes"]), text


PARTS = """
import json, pulumi
from ehpc_nodes import AttachedNodes
config = pulumi.Config()
args = json.loads(config.require("args"))
options = pulumi.ResourceOptions(ignore_changes=["instance_ids[0]"], replace_on_changes=["job_queue", "region"])
AttachedNodes("nodes", **args, opts=options)
"""


@pytest.mark.long
def test_options_without_effect_are_told_on_the_row(cloud, pulumi_stack):
    it = cloud()
    stack = pulumi_stack(PARTS)
    it.configure(stack)
    declare(stack, 1)
    warned = [d.message for d in stack.preview().diagnostics if d.severity == "warning" and d.urn]
    assert [text.partition(" has no effect")[0] for text in warned] == [
        "ignore_changes: instance_ids[0]",
        "replace_on_changes: job_queue",
    ]
